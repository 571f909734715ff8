import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Problem } from '../../../problem/index.ts';
import type { VitConfig } from '../../../vit/index.ts';
import type { ImportanceCriterion } from '../../contracts.ts';
import type { Recipe } from '../../recipe/schema.ts';
import { type ReleasedScores, readScoresFile } from './scores-file.ts';

/**
 * The criterion of a file of released scores, and the recipe with this criterion and the file's protection in place of its
 * own.
 * @throws Problem('invalid-scores') when the file cannot be read or is of another architecture
 */
export async function releasedCriterion(
  file: string,
  config: VitConfig,
  recipe: Recipe,
): Promise<{ criterion: ImportanceCriterion; recipe: Recipe }> {
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw new Problem('invalid-scores', `The scores file ${file} cannot be read.`, { file }, { cause });
  });
  const released = await readScoresFile(bytes);
  checkShape(config, released);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return {
    criterion: { name: 'released', score: async () => released.scores },
    recipe: {
      ...recipe,
      criterion: { kind: 'released', model: released.model, sha256 },
      attention: 'heads',
      protection: released.protection,
    },
  };
}

function checkShape(config: VitConfig, { shape, model }: ReleasedScores): void {
  for (const member of ['depth', 'heads', 'headDim', 'channels', 'width'] as const) {
    if (shape[member] !== config[member]) {
      throw new Problem(
        'invalid-scores',
        `The scores are of ${model} with ${member} ${shape[member]}, but the model has ${config[member]}. ` +
          'Use scores of the same architecture.',
        { model, member, scores: shape[member], config: config[member] },
      );
    }
  }
}
