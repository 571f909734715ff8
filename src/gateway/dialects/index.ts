import type { Route } from '../route.ts';
import { cohere } from './cohere.ts';
import { llamaCpp } from './llama-cpp.ts';
import { openInference } from './open-inference.ts';
import { openai } from './openai.ts';
import { raw } from './raw.ts';
import { sagemaker } from './sagemaker.ts';
import { vertex } from './vertex.ts';
import { voyage } from './voyage.ts';
import { weaviate } from './weaviate.ts';

/** The ways in which images can be asked about. */
export const DIALECTS: readonly Route[] = [
  ...openai,
  ...raw,
  ...cohere,
  ...voyage,
  ...openInference,
  ...sagemaker,
  ...vertex,
  ...weaviate,
  ...llamaCpp,
];
