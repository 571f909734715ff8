export { type ClientOptions, ConcertinaClient, type Image } from './client.ts';
export { ConcertinaError } from './error.ts';
export type {
  EmbeddedItem,
  Embedding,
  EmbedOptions,
  Level,
  LimitedBy,
  Model,
  Precision,
  Worth,
} from './types.ts';
