import type { Manifest } from '../checkpoint/index.ts';
import { memoryUse, RUNTIME_BYTES } from '../engine/runtime/wasm/index.ts';
import { BYTES_PER_PIXEL } from '../vit/web/index.ts';
import type { EdgeSettings } from './settings.ts';

/** JavaScript's own heap: the program, the manifests, the codecs before their first picture. Measured 20 MB; half more. */
const PROGRAM_BYTES = 30 * 2 ** 20;

/** What is left of the isolate's memory for the levels of all models, when a body and a picture are in work. */
export function bytesForModels({ memoryBytes, pixels, bodyBytes }: EdgeSettings): number {
  // A body is there as it came and as one piece.
  return memoryBytes - RUNTIME_BYTES - PROGRAM_BYTES - 2 * bodyBytes - BYTES_PER_PIXEL * pixels;
}

/** The highest level whose weights and run fit into so many bytes; -1 where not even the smallest does. */
export function highestLevel({ config, ladder }: Manifest, bytes: number): number {
  return ladder.findLastIndex((level) => memoryUse(config, level).total <= bytes);
}
