import { z } from 'zod';
import { Problem } from '../../problem/index.ts';
import { feasibleMerge, fullVariant, type Variant, type VitConfig } from '../../vit/index.ts';
import type { LadderPath, PruningContext, Ranking } from '../contracts.ts';
import { embedImages, rowCosines } from '../fidelity.ts';
import { range } from '../ordered.ts';
import { createRandom, type Random } from '../random.ts';
import { jsonStep } from '../step-store.ts';
import { type Candidate, fitToShare } from './candidate.ts';
import { activationMeans } from './gate-samples.ts';
import { absorbMeans } from './mean-absorption.ts';
import { type PathSettings, PathSettingsSchema, parseSettings } from './settings.ts';

/**
 * The joint ladder: for each FLOP share, merged tokens and removed units in the mixture that is truest to the full
 * network. A (1+1) evolution strategy per share, from the largest down, each beginning where the share before ended;
 * units that are gone stay gone, so that sub-networks are nested.
 */
export function bestPath(given: unknown): LadderPath {
  const settings = parseSettings(PathSettingsSchema, given, 'path');
  return {
    name: 'best',
    async plan(context, ranking, shares) {
      const measure = await createMeasure(context, ranking, settings);
      const variants: Variant[] = [];
      const step = context.report.step('path', shares.length);
      let from = firstCandidate(context.config, settings);
      for (const [done, share] of [...shares].sort((a, b) => b - a).entries()) {
        const found = await jsonStep(
          context.steps,
          `path-${share}`,
          (json): Found => FoundSchema.parse(json),
          () => search(context, { ranking, settings, measure, share, from }),
        );
        from = found.candidate;
        variants.unshift(found.variant);
        step.advance(done + 1, `${share}: ${found.fidelity.toFixed(4)}`);
      }
      step.end();
      return variants;
    },
  };
}

const counts = z.array(z.number().int().nonnegative());
const FoundSchema = z.strictObject({
  candidate: z.strictObject({
    heads: z.number().int(),
    channels: z.number().int(),
    merge: z.array(z.number()),
  }),
  variant: z.strictObject({ heads: counts, channels: counts, merge: counts }),
  fidelity: z.number(),
});
/** What the search of one share ended with. */
interface Found {
  readonly candidate: Candidate;
  readonly variant: Variant;
  readonly fidelity: number;
}

type Measure = (variant: Variant) => Promise<number>;

/** Mean cosine to the full network on the first pictures for fitting, with the means of removed units absorbed. */
async function createMeasure(
  context: PruningContext,
  ranking: Ranking,
  settings: PathSettings,
): Promise<Measure> {
  const { config, tensors, model, images, signal } = context;
  const count = Math.min(settings.images, images.fit.count);
  const full = await embedImages(model, images.fit, count, { signal });
  const means = settings.units ? await activationMeans(context, count) : undefined;
  const { units } = ranking;
  return async function measure(variant) {
    const replaced = means ? absorbMeans(config, tensors, means, { variant, units }) : new Map();
    const network = { variant, units, replaced };
    const own = await embedImages(model, images.fit, count, { network, signal });
    return rowCosines(own, full, config.embeddingWidth).reduce((sum, cosine) => sum + cosine, 0) / count;
  };
}

interface Task {
  readonly ranking: Ranking;
  readonly settings: PathSettings;
  readonly measure: Measure;
  readonly share: number;
  /** Where the share above ended. */
  readonly from: Candidate;
}

/** Nothing removed; merging even over the blocks but the first two, whose tokens are not yet alike, and the last. */
function firstCandidate(config: VitConfig, { merging }: PathSettings): Candidate {
  const merge = range(config.depth).map((block) => Number(merging && block >= 2 && canMerge(config, block)));
  return { heads: 0, channels: 0, merge };
}

/** In the last block of a network that reads prefix tokens alone merging would only look like saving. */
function canMerge(config: VitConfig, block: number): boolean {
  return block < config.depth - 1;
}

async function search({ config, seed, signal }: PruningContext, task: Task): Promise<Found> {
  const { settings, share, measure, ranking } = task;
  const random = createRandom(seed, 'path', share);
  if (share === 1) return { candidate: task.from, variant: fullVariant(config), fidelity: 1 };
  const seen = new Map<string, number>();
  const evaluate = async (candidate: Candidate): Promise<Found | undefined> => {
    const fitted = fitToShare(config, ranking, candidate, share);
    if (!fitted) return undefined;
    const variant = { ...fitted, merge: feasibleMerge(config, fitted) };
    const key = JSON.stringify(variant);
    const fidelity = seen.get(key) ?? (await measure(variant));
    seen.set(key, fidelity);
    return { candidate, variant, fidelity };
  };
  let best: Found | undefined;
  for (const start of starts(task)) {
    const found = await evaluate(start);
    if (found && (!best || found.fidelity > best.fidelity)) best = found;
  }
  if (!best) throw unreachable(share);
  let size = 0.5;
  for (let trial = 0; trial < settings.candidates; trial++) {
    signal?.throwIfAborted();
    const found = await evaluate(mutated(config, task, best.candidate, size, random));
    const better = found !== undefined && found.fidelity > best.fidelity;
    if (better) best = found;
    size = Math.max(0.1, Math.min(1, size * (better ? 1.15 : 0.97)));
  }
  return best;
}

/** The share above's candidate, and the same with more units gone, in case tokens alone cannot pay for the share. */
function starts({ from, ranking, settings }: Task): Candidate[] {
  if (!settings.units) return [from];
  const shares = settings.merging ? [0, 0.1, 0.2, 0.4, 0.7, 1] : range(33).map((part) => part / 32);
  return shares.map((part) => ({
    ...from,
    heads: from.heads + Math.round(part * 0.7 * (ranking.heads.length - from.heads)),
    channels: from.channels + Math.round(part * (ranking.channels.length - from.channels)),
  }));
}

function mutated(
  config: VitConfig,
  { ranking, settings, from }: Task,
  { heads, channels, merge }: Candidate,
  size: number,
  random: Random,
): Candidate {
  const less = (value: number, all: number, least: number, scale: number) =>
    Math.min(all, Math.max(least, value + Math.round(random.normal() * size * scale)));
  const turnUnits = settings.units && (!settings.merging || random.uniform() < 0.5);
  const turnMerges = settings.merging && (!turnUnits || random.uniform() < 0.5);
  return {
    heads: turnUnits
      ? less(heads, ranking.heads.length, from.heads, Math.max(2, ranking.heads.length / 12))
      : heads,
    channels: turnUnits
      ? less(channels, ranking.channels.length, from.channels, ranking.channels.length / 12)
      : channels,
    merge: turnMerges
      ? merge.map((weight, block) => {
          if (!canMerge(config, block) || random.uniform() < 0.5) return weight;
          return Math.max(0, weight + size * random.normal());
        })
      : merge,
  };
}

function unreachable(share: number): Problem {
  return new Problem(
    'invalid-settings',
    `No variant has ${share} of the FLOPs, with as many tokens merged and units removed as may be. ` +
      'Ask for larger shares or protect fewer units.',
    { share },
  );
}
