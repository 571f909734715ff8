import { z } from 'zod';
import { Problem } from '../../../problem/index.ts';
import { fullVariant, type Variant, type VitConfig } from '../../../vit/index.ts';
import type { LadderPath, PruningContext, Ranking } from '../../contracts.ts';
import { range } from '../../data/ordered.ts';
import { createRandom, type Random } from '../../data/random.ts';
import { meanOf } from '../../fidelity/kernels/cosines.ts';
import { createMeasure, type Measure } from '../../fidelity/measure.ts';
import { parseSettings } from '../../recipe/part-settings.ts';
import { stepName } from '../../steps/step-name.ts';
import { jsonStep } from '../../steps/step-store.ts';
import { prunableAttention } from '../../units/ranking.ts';
import { VariantSchema } from '../variant-schema.ts';
import { type Candidate, fitToShare } from './candidate.ts';
import { type JointSearchSettings, JointSearchSettingsSchema } from './settings.ts';

/**
 * The joint ladder: for each FLOP share, merged tokens and removed units in the mixture that is truest to the full
 * network. A (1+1) evolution strategy per share, from the largest down, each beginning where the share before ended;
 * units that are gone stay gone, so that sub-networks are nested.
 */
export function jointSearchPath(given: unknown): LadderPath {
  const settings = parseSettings(JointSearchSettingsSchema, given, 'path "joint-search"');
  return {
    name: 'joint-search',
    async plan(context, ranking, shares) {
      const measure = await createMeasure(context, ranking.units, { ...settings, absorb: settings.units });
      const variants: Variant[] = [];
      const step = context.report.step('path', shares.length);
      let from = firstCandidate(context.config, settings);
      for (const [done, share] of [...shares].sort((a, b) => b - a).entries()) {
        const found = await jsonStep(
          context.steps,
          stepName(`path-${share}`, { ranking, settings, from, share, merging: context.config.merging }),
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

const FoundSchema = z.strictObject({
  candidate: z.strictObject({
    attention: z.number().int(),
    channels: z.number().int(),
    merge: z.array(z.number()),
  }),
  variant: VariantSchema,
  fidelity: z.number(),
});
/** What the search of one share ended with. */
interface Found {
  readonly candidate: Candidate;
  readonly variant: Variant;
  readonly fidelity: number;
}

interface Task {
  readonly ranking: Ranking;
  readonly settings: JointSearchSettings;
  readonly measure: Measure;
  readonly share: number;
  /** Where the share above ended. */
  readonly from: Candidate;
}

/** Nothing removed; merging even over the blocks but the first two, whose tokens are not yet alike. */
function firstCandidate(config: VitConfig, { merging }: JointSearchSettings): Candidate {
  return {
    attention: 0,
    channels: 0,
    merge: merging ? ramp(config, 2, 0) : range(config.depth).map(() => 0),
  };
}

/** Merging from block `first` on, each block less by `fall` of the first one's. */
function ramp(config: VitConfig, first: number, fall: number): number[] {
  return range(config.depth).map((block) =>
    block >= first && canMerge(config, block) ? Math.max(0, 1 - fall * (block - first)) : 0,
  );
}

/** In the last block of a network that reads prefix tokens alone merging would only look like saving. */
function canMerge(config: VitConfig, block: number): boolean {
  return block < config.depth - 1;
}

async function search(context: PruningContext, task: Task): Promise<Found> {
  const { config } = context;
  const { settings, share, measure, ranking, from } = task;
  if (share === 1) return { candidate: from, variant: fullVariant(config), fidelity: 1 };
  const seen = new Set<string>();
  const evaluate: Evaluate = async (candidate, rival) => {
    context.signal?.throwIfAborted();
    const variant = fitToShare(config, ranking, candidate, share);
    const key = JSON.stringify(variant);
    if (!variant || seen.has(key)) return undefined;
    seen.add(key);
    const cosines = await measure(variant, rival?.cosines);
    const left = variant.channels.reduce((sum, count) => sum + count, 0);
    const channels = config.depth * config.channels - left;
    return cosines && { candidate: { ...candidate, channels }, variant, cosines, fidelity: meanOf(cosines) };
  };
  const random = createRandom(context.seed, 'path', share);
  let best = await bestOf(schedules(config, task), evaluate);
  if (settings.merging && best) {
    best = await evolve(best, settings.candidates, evaluate, (candidate, size) =>
      turnMerges(config, candidate, size, random),
    );
  }
  if (settings.units) {
    const fewer = await bestOf(fewerUnits(best?.candidate ?? from, task), evaluate);
    // Units that are gone are gone from every smaller level too: they must be worth it.
    if (fewer && fewer.fidelity > (best?.fidelity ?? -1) + (settings.merging ? marginOf(ranking) : 0)) {
      best = settings.merging
        ? await evolve(fewer, settings.candidates, evaluate, (candidate, size) =>
            random.uniform() < 0.5
              ? turnUnits(task, candidate, size, random)
              : turnMerges(config, candidate, size, random),
          )
        : fewer;
    }
  }
  if (!best) throw unreachable(share);
  return { candidate: best.candidate, variant: best.variant, fidelity: best.fidelity };
}

/** What removing units must win, in fidelity, where merging could do without: dimensions can be spared sooner than heads. */
function marginOf({ dimensions }: Ranking): number {
  return dimensions ? 0.0005 : 0.002;
}

/** What a candidate is worth; undefined when it cannot reach the share, has been seen, or is clearly worse than its rival. */
type Evaluate = (candidate: Candidate, rival?: Measured) => Promise<Measured | undefined>;

interface Measured extends Found {
  readonly cosines: Float64Array;
}

async function bestOf(candidates: Iterable<Candidate>, evaluate: Evaluate): Promise<Measured | undefined> {
  let best: Measured | undefined;
  for (const candidate of candidates) {
    const found = await evaluate(candidate, best);
    if (found && (!best || found.fidelity > best.fidelity)) best = found;
  }
  return best;
}

/** A (1+1) evolution strategy whose step grows on success and shrinks otherwise. */
async function evolve(
  start: Measured,
  trials: number,
  evaluate: Evaluate,
  mutate: (candidate: Candidate, size: number) => Candidate,
): Promise<Measured> {
  let [best, size] = [start, 0.4];
  for (let trial = 0; trial < trials; trial++) {
    const found = await evaluate(mutate(best.candidate, size), best);
    const better = found !== undefined && found.fidelity > best.fidelity;
    if (found && better) best = found;
    size = Math.max(0.1, Math.min(1, size * (better ? 1.3 : 0.96)));
  }
  return best;
}

/** The schedule of the share above, and ramps that begin in different blocks. */
function schedules(config: VitConfig, { from, settings }: Task): Candidate[] {
  if (!settings.merging) return [from];
  const ramps = [0, 1, 2, 3, 4].flatMap((first) => [0, 0.08, 0.16].map((fall) => ramp(config, first, fall)));
  return [from, ...ramps.map((merge) => ({ ...from, merge }))];
}

/** Shares of attention's units and of channels that go together: heads are dearer than channels, most dimensions cheaper. */
const CHANNELS_FIRST = [
  [0, 1],
  [0.5, 1],
] as const;
const DIMENSIONS_FIRST = [
  [1, 0],
  [1, 0.25],
  [1, 0.5],
] as const;

/** The same schedule with more and more units gone. */
function* fewerUnits(start: Candidate, { from, ranking, settings }: Task): Generator<Candidate> {
  const [attention, channels] = [prunableAttention(ranking), ranking.channels.length];
  if (!settings.merging) {
    // Channels pay for what attention does not.
    const step = Math.max(1, Math.round(attention / 36));
    for (let gone = from.attention; gone <= attention * 0.8; gone += step) yield { ...from, attention: gone };
    return;
  }
  for (const part of [0.03, 0.06, 0.12, 0.25, 0.5, 1]) {
    for (const [ofAttention, ofChannels] of ranking.dimensions ? DIMENSIONS_FIRST : CHANNELS_FIRST) {
      yield {
        ...start,
        attention: from.attention + Math.round(part * ofAttention * (attention - from.attention)),
        channels: from.channels + Math.round(part * ofChannels * (channels - from.channels)),
      };
    }
  }
}

function turnMerges(config: VitConfig, candidate: Candidate, size: number, random: Random): Candidate {
  const mean = candidate.merge.reduce((sum, weight) => sum + weight, 0) / candidate.merge.length;
  const merge = candidate.merge.map((weight, block) => {
    if (!canMerge(config, block) || random.uniform() < 0.7) return weight;
    return Math.max(0, weight + size * mean * random.normal());
  });
  return { ...candidate, merge };
}

function turnUnits({ ranking, from }: Task, candidate: Candidate, size: number, random: Random): Candidate {
  const moved = (kind: 'attention' | 'channels') => {
    const all = kind === 'attention' ? prunableAttention(ranking) : ranking.channels.length;
    const step = Math.round(random.normal() * size * Math.max(2, all / 8));
    return Math.min(all, Math.max(from[kind], candidate[kind] + step));
  };
  return { ...candidate, attention: moved('attention'), channels: moved('channels') };
}

function unreachable(share: number): Problem {
  return new Problem(
    'invalid-settings',
    `No variant has ${share} of the FLOPs, with as many tokens merged and units removed as may be. ` +
      'Ask for larger shares or protect fewer units.',
    { share },
  );
}
