import type { LevelDraft } from '../checkpoint/index.ts';
import { FidelitySchema } from '../checkpoint/index.ts';
import type { AnalysisVariant } from '../engine/index.ts';
import type { TensorMap, Variant } from '../vit/index.ts';
import { asStored } from './as-stored.ts';
import type { Correction, PruningContext, Ranking } from './contracts.ts';
import { embedImages, measureFidelity } from './fidelity.ts';
import type { Recipe } from './recipe-schema.ts';
import { jsonStep } from './step-store.ts';
import { tensorsFromBytes, tensorsToBytes } from './tensor-bytes.ts';

/**
 * Corrects every variant of the ladder and measures it on the held-out pictures, with the numbers as they will be stored.
 * @param variants smallest first, the last the full network
 */
export async function buildLevels(
  context: PruningContext,
  task: {
    readonly variants: readonly Variant[];
    readonly ranking: Ranking;
    readonly correction: Correction | undefined;
    readonly storage: Recipe['storage'];
  },
): Promise<LevelDraft[]> {
  const { units } = task.ranking;
  const { held } = context.images;
  const full = await embedImages(context.model, held, held.count, { signal: context.signal });
  const levels: LevelDraft[] = [];
  const last = task.variants.length - 1;
  const step = context.report.step('levels', task.variants.length);
  for (const [index, variant] of task.variants.entries()) {
    context.signal?.throwIfAborted();
    const corrections =
      task.correction && index < last
        ? await correctedTensors(context, task.correction, { variant, index, ...task })
        : undefined;
    const network: AnalysisVariant = { variant, units, ...(corrections && { replaced: corrections }) };
    const fp32 = await jsonStep(
      context.steps,
      `fidelity-${index}`,
      (json) => FidelitySchema.parse(json),
      () => measureFidelity(context, network, full),
    );
    levels.push({ ...variant, fidelity: { fp32 }, ...(corrections?.size && { corrections }) });
    step.advance(index + 1, `fidelity ${fp32.mean.toFixed(4)}`);
  }
  step.end();
  return levels;
}

async function correctedTensors(
  context: PruningContext,
  correction: Correction,
  {
    variant,
    index,
    ranking,
    storage,
  }: { variant: Variant; index: number; ranking: Ranking; storage: Recipe['storage'] },
): Promise<TensorMap> {
  const name = `correction-${index}`;
  const saved = await context.steps.load(name);
  if (saved) return tensorsFromBytes(saved);
  const corrected = asStored(await correction.correct(context, variant, ranking.units), storage);
  await context.steps.save(name, tensorsToBytes(corrected));
  return corrected;
}
