import { z } from 'zod';
import {
  elementOf,
  flops,
  fullVariant,
  keptOf,
  orderOf,
  type UnitKind,
  type UnitOrder,
  unitCount,
  unitKinds,
  type Variant,
  type VitConfig,
} from '../../../vit/index.ts';
import type { PruningContext, UnitScores } from '../../contracts.ts';
import { range } from '../../data/ordered.ts';
import { meanOf } from '../../fidelity/kernels/cosines.ts';
import { createMeasure } from '../../fidelity/measure.ts';
import { stepName } from '../../steps/step-name.ts';
import { rank } from '../../units/ranking.ts';

/** FLOPs of the units that go at a time, as a share of the full network's. */
const CHUNK = 0.004;
/** From this share of the FLOPs on the order is that of the scores. */
const LEAST_SHARE = 0.4;
/** A group goes when its cost, as it is now, is at most this much above the least that is known of another. */
const PATIENCE = 0.1;
/** Cost of a group that has nothing left to give. JSON has no infinity. */
const SPENT = Number.MAX_VALUE;

const STEP = 'order of units';
const CHUNKS_PER_SAVE = 8;

/** All units of a kind in a block; they go least important first. */
interface Group {
  readonly kind: UnitKind;
  readonly block: number;
}

const StateSchema = z.strictObject({
  /** What went, in order: a group's index, and how many units. */
  gone: z.array(z.tuple([z.number().int(), z.number().int()])),
  /** Last known cost of every group's next units, in fidelity per share of the FLOPs. */
  costs: z.array(z.number()),
  /** Mean cosine without what went. */
  fidelity: z.number(),
});

/** What a group's next units are found to cost. */
interface Offer {
  readonly count: number;
  readonly variant: Variant;
  readonly fidelity: number;
  readonly cost: number;
}

/**
 * Scores that keep each block's own order and let blocks and kinds of unit take turns by what their next units are measured to
 * cost, in mean cosine per FLOP. Gate curvature is exact for a little of one unit; what many do together adds up differently in
 * every block. Always the group of least known cost is measured anew, and goes if it is still the least (lazy greedy
 * search, Minoux 1978: costs mostly grow as units go).
 * @param images how many of the last pictures for fitting are measured on
 */
export async function measuredOrder(
  context: PruningContext,
  scores: UnitScores,
  images: number,
): Promise<UnitScores> {
  const { config, steps, report, signal } = context;
  const { units } = rank(config, scores, { heads: 0, channels: 0 });
  const measure = await createMeasure(context, units, { images, pictures: 'last', absorb: true });
  const groups = unitKinds(config).flatMap((kind) => range(config.depth).map((block) => ({ kind, block })));
  const all = flops(config, fullVariant(config));
  const name = stepName(STEP, { scores, images });
  const saved = await steps.load(name);
  const { gone, costs, ...rest } = saved
    ? StateSchema.parse(JSON.parse(Buffer.from(saved).toString('utf8')))
    : { gone: [], costs: [], fidelity: 1 };
  let { fidelity } = rest;
  let variant = gone.reduce(
    (left, [index, count]) => without(config, left, elementOf(groups, index), count),
    fullVariant(config),
  );
  const offerOf = async (group: Group): Promise<Offer> => {
    signal?.throwIfAborted();
    const count = nextCount(config, variant, group, CHUNK * all);
    const fewer = without(config, variant, group, count);
    const saving = (flops(config, variant) - flops(config, fewer)) / all;
    if (!(saving > 0)) return { count: 0, variant, fidelity, cost: SPENT };
    const left = meanOf(await measure(fewer));
    return { count, variant: fewer, fidelity: left, cost: (fidelity - left) / saving };
  };
  const step = report.step(STEP, groups.length + Math.round(100 * (1 - LEAST_SHARE)));
  for (const group of groups.slice(costs.length)) {
    costs.push((await offerOf(group)).cost);
    step.advance(costs.length);
  }
  const fresh = new Map<number, Offer>();
  while (flops(config, variant) > LEAST_SHARE * all) {
    const [index, rival] = twoLeast(costs);
    if (costs[index] === SPENT) break;
    const known = fresh.get(index);
    const offer = known ?? (await offerOf(elementOf(groups, index)));
    costs[index] = offer.cost;
    fresh.set(index, offer);
    if (offer.count === 0 || (!known && offer.cost > rival + PATIENCE * Math.abs(rival))) continue;
    gone.push([index, offer.count]);
    ({ variant, fidelity } = offer);
    fresh.clear();
    if (gone.length % CHUNKS_PER_SAVE === 0)
      await steps.save(name, Buffer.from(JSON.stringify({ gone, costs, fidelity })));
    const share = flops(config, variant) / all;
    step.advance(
      groups.length + Math.floor(100 * (1 - share)),
      `${share.toFixed(2)}: ${fidelity.toFixed(4)}`,
    );
  }
  step.end();
  const sequence = gone.map(([index, count]) => ({ ...elementOf(groups, index), count }));
  return positions(config, { scores, units, sequence });
}

/** Index of the least, and the least of the others. */
function twoLeast(costs: readonly number[]): [number, number] {
  let [index, rival] = [0, SPENT];
  for (const [at, cost] of costs.entries()) {
    if (at === 0) continue;
    const least = elementOf(costs, index);
    if (cost < least) [index, rival] = [at, least];
    else rival = Math.min(rival, cost);
  }
  return [index, rival];
}

/** Units of the group that make a chunk; one stays in every block. */
function nextCount(config: VitConfig, variant: Variant, group: Group, chunk: number): number {
  const left = keptOf(config, variant, group.kind, group.block) - 1;
  if (left < 1) return 0;
  const saving = flops(config, variant) - flops(config, without(config, variant, group, 1));
  return Math.min(left, Math.max(1, Math.round(chunk / saving)));
}

function without(config: VitConfig, variant: Variant, { kind, block }: Group, count: number): Variant {
  const kept = range(config.depth).map(
    (at) => keptOf(config, variant, kind, at) - (at === block ? count : 0),
  );
  return { ...variant, [kind]: kept };
}

/** Positions: of what went, in its order; of what is left, in the order of the scores. */
function positions(
  config: VitConfig,
  from: {
    readonly scores: UnitScores;
    readonly units: UnitOrder;
    readonly sequence: readonly (Group & { readonly count: number })[];
  },
): UnitScores {
  const { scores, units, sequence } = from;
  const rowsOf = (kind: UnitKind) => range(config.depth).map(() => new Float64Array(unitCount(config, kind)));
  const result: UnitScores = {
    heads: rowsOf('heads'),
    channels: rowsOf('channels'),
    ...(scores.queries && { queries: rowsOf('queries'), values: rowsOf('values') }),
  };
  let position = 0;
  const place = ({ kind, block }: Group, unit: number) => {
    elementOf(result[kind], block)[unit] = position++;
  };
  const left = new Map<readonly number[], number>();
  for (const { kind, block, count } of sequence) {
    const order = orderOf(units, kind, block);
    const end = left.get(order) ?? order.length;
    for (const unit of order.slice(end - count, end).reverse()) place({ kind, block }, unit);
    left.set(order, end - count);
  }
  const kept = unitKinds(config).flatMap((kind) =>
    range(config.depth).flatMap((block) => {
      const order = orderOf(units, kind, block);
      return order
        .slice(0, left.get(order) ?? order.length)
        .map((unit) => ({ kind, block, unit, score: elementOf(elementOf(scores[kind], block), unit) }));
    }),
  );
  // Stable, and within a block least important first: ties must not turn its order.
  for (const { kind, block, unit } of kept.reverse().sort((a, b) => a.score - b.score))
    place({ kind, block }, unit);
  return result;
}
