import type { Route } from '../route.ts';
import { openai } from './openai.ts';
import { raw } from './raw.ts';

/** The ways in which images can be asked about. */
export const DIALECTS: readonly Route[] = [...openai, ...raw];
