import type { Manifest, Precision } from '../checkpoint/index.ts';
import { Problem } from '../problem/index.ts';
import type { ModelOptions } from './create.ts';

/** What a host may compute in. `auto`: every precision that the checkpoint publishes a fidelity for. */
export const PRECISIONS = ['auto', 'fp32', 'int8'] as const;
export type PrecisionChoice = (typeof PRECISIONS)[number];

/**
 * What an engine needs to know of a checkpoint.
 * @throws Problem('engine-unavailable') when int8 is asked for and the checkpoint was pruned without it
 */
export function ladderOptions(
  { model, config, ladder, keepFp32 }: Manifest,
  wanted: PrecisionChoice = 'auto',
): Pick<ModelOptions, 'config' | 'variants' | 'precisions' | 'keepFp32'> {
  const published = ladder.every(({ fidelity }) => fidelity.int8);
  if (wanted === 'int8' && !published) {
    throw new Problem(
      'engine-unavailable',
      `"${model}" has no int8 precision: it was pruned without. Prune it again, or serve it with --precision fp32.`,
      { model },
    );
  }
  const both: readonly Precision[] = published ? ['fp32', 'int8'] : ['fp32'];
  return { config, variants: ladder, keepFp32, precisions: wanted === 'auto' ? both : [wanted] };
}
