export { breather } from './breather.ts';
export type { CheckpointContent, Components, LevelDraft } from './content.ts';
export { sha256 } from './digest.ts';
export type { GarbageOptions, GarbageReport, KeptVersion, Version } from './gc.ts';
export { collectGarbage } from './gc.ts';
export { gatherRows, unitMatrices } from './layout.ts';
export type { LevelWeights, WeightMap, WeightTensor } from './level-weights.ts';
export type {
  Fidelity,
  Ladder,
  Latest,
  Level,
  Manifest,
  Precision,
  StoredRange,
  StoredTensor,
} from './manifest.ts';
export {
  FidelitySchema,
  LatestSchema,
  LevelSchema,
  MANIFEST_VERSION,
  ManifestSchema,
  PrecisionSchema,
} from './manifest.ts';
export type { HighPlane } from './planes.ts';
export { coarse, columnScales, columnsAreOutputs, splitPlanes } from './planes.ts';
export { probeStore } from './probe.ts';
export type { Checkpoint, LevelOptions, OpenOptions } from './reader.ts';
export { listModels, openCheckpoint, readLatest } from './reader.ts';
export { componentSpace, embeddingSpace } from './space.ts';
export type { StoredNumbers } from './stored-numbers.ts';
export { asStored, makeAsStored, numbersOf } from './stored-numbers.ts';
export type { Published, PublishOptions } from './writer.ts';
export { publishCheckpoint } from './writer.ts';
