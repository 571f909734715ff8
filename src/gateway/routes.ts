import { DIALECTS } from './dialects/index.ts';
import type { Route } from './route.ts';
import { health } from './routes/health.ts';
import { models } from './routes/models.ts';
import { pages } from './routes/pages.ts';

/** Every address of the gateway beside the playground's files. */
export const ROUTES: readonly Route[] = [...DIALECTS, ...models, ...health, ...pages(() => ROUTES)];
