import type { LevelDraft } from '../checkpoint/index.ts';
import { asStored, FidelitySchema, type StoredNumbers } from '../checkpoint/index.ts';
import type { AnalysisModel, AnalysisVariant } from '../engine/index.ts';
import type { TensorMap, UnitOrder, Variant } from '../vit/index.ts';
import type { Correction, PruningContext, Ranking } from './contracts.ts';
import { embedImages, measureFidelity } from './fidelity/fidelity.ts';
import { openNetwork } from './open-network.ts';
import { stepName } from './steps/step-name.ts';
import { jsonStep } from './steps/step-store.ts';
import { tensorsFromBytes, tensorsToBytes } from './steps/tensor-bytes.ts';

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
    readonly dtype: StoredNumbers;
    /** Settings that corrections depend on. */
    readonly settings: unknown;
  },
): Promise<LevelDraft[]> {
  const { settings } = task;
  const { units } = task.ranking;
  const { held } = context.images;
  const full = await embedImages(context.model, held, held.count, { signal: context.signal });
  const levels: LevelDraft[] = [];
  const last = task.variants.length - 1;
  const step = context.report.step('levels', task.variants.length);
  let below: AnalysisModel | undefined = await belowFull(context, task.dtype);
  const closeBelow = async () => {
    const model = below;
    below = undefined;
    if (model !== context.model) await model?.dispose();
  };
  const measureOn = (model: AnalysisModel, network: AnalysisVariant) =>
    measureFidelity({ ...context, model }, network, full);
  try {
    for (const [index, variant] of task.variants.entries()) {
      context.signal?.throwIfAborted();
      // Of a large network there is memory for one arrangement of its units at a time.
      if (index === last) await closeBelow();
      const corrections =
        task.correction && index < last
          ? await correctedTensors(context, task.correction, variant, { units, settings })
          : undefined;
      const replaced = corrections && asStored(corrections, task.dtype, 'high');
      const network: AnalysisVariant = { variant, units, ...(replaced && { replaced }) };
      const { merging } = context.config;
      const inputs = { variant, units, merging, ...(corrections && { settings }) };
      const fp32 = await jsonStep(
        context.steps,
        stepName('fidelity', inputs),
        (json) => FidelitySchema.parse(json),
        () => measureOn(below ?? context.model, network),
      );
      levels.push({ ...variant, fidelity: { fp32 }, ...(corrections?.size && { corrections }) });
      step.advance(index + 1, `fidelity ${fp32.mean.toFixed(4)}`);
    }
  } finally {
    await closeBelow();
  }
  step.end();
  return levels;
}

/** The network that levels below the full one run on: where weights are split they have half of the bits. */
async function belowFull(context: PruningContext, dtype: StoredNumbers): Promise<AnalysisModel> {
  if (dtype !== 'split') return context.model;
  const { config, tensors } = context;
  return await openNetwork(context, { config, tensors: asStored(tensors, dtype, 'high') });
}

async function correctedTensors(
  context: PruningContext,
  correction: Correction,
  variant: Variant,
  { units, settings }: { readonly units: UnitOrder; readonly settings: unknown },
): Promise<TensorMap> {
  const name = stepName('correction', { variant, units, settings });
  const saved = await context.steps.load(name);
  if (saved) return tensorsFromBytes(saved);
  const corrected = await correction.correct(context, variant, units);
  await context.steps.save(name, tensorsToBytes(corrected));
  return corrected;
}
