import { wantedAs } from '../../src/checkpoint/stored-numbers.ts';
import { expectedTensors, type VitConfig } from '../../src/vit/index.ts';

export interface LadderBytes {
  /** Numbers that the embedding depends on. */
  readonly parameters: number;
  /** Stored: matrices of the blocks in two planes, other matrices in binary16, vectors in float32. Without its header. */
  readonly stored: number;
  /** In memory, float32, once for all engine threads: the matrices of the blocks twice, as the lower levels have them and as the full network has. */
  readonly memory: number;
}

/** Output projections have a scale for each column beside those of the rows. */
const HAS_COLUMN_SCALES = /\.(attn\.proj|mlp\.fc2)\.weight$/;

/** What a checkpoint of a network takes with all of its levels, where no level has corrected weights of its own. */
export function ladderBytes(config: VitConfig): LadderBytes {
  let [parameters, stored, memory] = [0, 0, 0];
  for (const [name, shape] of expectedTensors(config)) {
    const size = shape.reduce((product, side) => product * side, 1);
    const written = wantedAs(name, shape, 'split');
    const planes = written === 'planes';
    const width = shape.at(-1) ?? 1;
    const scales = size / width + (HAS_COLUMN_SCALES.test(name) ? width : 0);
    stored += planes ? 2 * size + 4 * scales : (written === 'F32' ? 4 : 2) * size;
    // The classification head is kept for evaluation; serving never reads it.
    if (name.startsWith('head.')) continue;
    parameters += size;
    memory += 4 * (planes ? 2 * size : size);
  }
  return { parameters, stored, memory };
}
