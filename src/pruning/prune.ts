import { Problem } from '../problem/index.ts';
import type { PruneOptions, PruneResult } from './prune-options.ts';

/**
 * Turns a pretrained Vision Transformer into an elastic checkpoint: scores its units, ranks them, cuts a ladder of
 * levels along the path, corrects and measures each level, and publishes the whole. The same inputs, recipe and seed give
 * the same bytes; an interrupted job started again goes on from its last finished step.
 * @throws Problem('invalid-recipe'), ('invalid-scores'), ('invalid-settings'), ('no-images'), ('aborted') and what reading
 *   the model and writing the store may throw
 */
export async function prune(options: PruneOptions): Promise<PruneResult> {
  throw new Problem(
    'engine-unavailable',
    `Pruning ${options.model} needs the engine, which is not part of this build yet.`,
  );
}
