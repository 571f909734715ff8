/** Concertina as a library: prune, store, serve. */
export { type Checkpoint, openCheckpoint } from './checkpoint/index.ts';
export { evaluate } from './evaluation/index.ts';
export {
  type Embedder,
  openEmbedder,
  type RunningServer,
  type ServerOptions,
  startServer,
} from './host/index.ts';
export { openModel } from './hub/index.ts';
export { Problem, type ProblemCode } from './problem/index.ts';
export { type PruneOptions, type PruneResult, prune } from './pruning/index.ts';
export type { ObjectStore } from './storage/index.ts';
export { openStore } from './storage/node.ts';
