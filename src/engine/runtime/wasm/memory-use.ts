import type { Level } from '../../../checkpoint/index.ts';
import { keptOf, totalTokens, type VitConfig } from '../../../vit/index.ts';

/** Bytes that serving a level takes in the isolate, beside ONNX Runtime itself. */
export interface MemoryUse {
  /** The weights in JavaScript's memory. */
  readonly weights: number;
  /** The copy of them that a run needs, and what the network computes, in WebAssembly's memory. */
  readonly run: number;
  readonly total: number;
}

/** WebAssembly's memory grows by a fifth more than was asked for, and never shrinks. */
const GROWTH = 1.2;
/** WebAssembly's memory before any weights (onnxruntime-web 1.30). */
export const RUNTIME_BYTES = 17 * 2 ** 20;

/**
 * What the largest level that is loaded takes, from what the manifest says: every array is reserved in full for it, and
 * ONNX Runtime copies each graph input into its own memory for a run. `level.memory` also counts tensors that other levels
 * have of their own; a run takes one set.
 */
export function memoryUse(config: VitConfig, level: Level): MemoryUse {
  const tokens = totalTokens(config);
  const heads = Math.max(...level.heads);
  const channels = Math.max(...level.channels);
  const dimensions = most(config, level, 'queries') + most(config, level, 'values');
  // Of the widest block: residual stream, normalised stream, queries, keys, values and context, scores twice, hidden twice.
  const perToken = 3 * config.width + 2 * heads * dimensions + 2 * heads * tokens + 2 * channels;
  const run = Math.ceil(GROWTH * 4 * (level.params + tokens * perToken));
  return { weights: level.memory, run, total: level.memory + run };
}

/** Dimensions of a head that the level keeps in the block that keeps most. */
function most(config: VitConfig, level: Level, kind: 'queries' | 'values'): number {
  return Math.max(...level.heads.map((_, block) => keptOf(config, level, kind, block)));
}
