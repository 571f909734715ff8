export type { LevelWeights } from './level-weights.ts';
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
