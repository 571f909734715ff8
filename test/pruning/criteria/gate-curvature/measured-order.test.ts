import { afterAll, describe, expect, it, vi } from 'vitest';
import type { PruningContext, StepStore, UnitScores } from '../../../../src/pruning/contracts.ts';
import { measuredOrder } from '../../../../src/pruning/criteria/gate-curvature/measured-order.ts';
import { meanOf } from '../../../../src/pruning/fidelity/kernels/cosines.ts';
import { createMeasure } from '../../../../src/pruning/fidelity/measure.ts';
import { fitToShare } from '../../../../src/pruning/paths/joint-search/candidate.ts';
import { memorySteps } from '../../../../src/pruning/steps/step-store.ts';
import { rank } from '../../../../src/pruning/units/ranking.ts';
import { flops, fullVariant, type UnitKind, unitCount, unitKinds } from '../../../../src/vit/index.ts';
import { tinyContext } from '../../tiny-context.ts';

const IMAGES = 10;
const NONE = { heads: 0, channels: 0 };
const contexts = {
  heads: await tinyContext({ depth: 3 }, { fit: 12, held: 4 }),
  dimensions: await tinyContext({ depth: 3, attentionUnits: 'dimensions' }, { fit: 12, held: 4 }),
};
afterAll(() => Promise.all(Object.values(contexts).map(({ model }) => model.dispose())));

/** Scores that go up from unit to unit and from block to block: the first block's go first. */
function ascending({ config }: PruningContext): UnitScores {
  const scoresOf = (kind: UnitKind) =>
    Array.from({ length: config.depth }, (_, block) =>
      Float64Array.from({ length: unitCount(config, kind) }, (_, unit) => 100 * block + unit),
    );
  return {
    heads: scoresOf('heads'),
    channels: scoresOf('channels'),
    ...(config.attentionUnits === 'dimensions' && {
      queries: scoresOf('queries'),
      values: scoresOf('values'),
    }),
  };
}

const both = ['heads', 'dimensions'] as const;

describe('the measured order', () => {
  it.each(both)("keeps every block's own order and gives every unit a place: %s", async (units) => {
    const context = { ...contexts[units], steps: memorySteps() };
    const scores = await measuredOrder(context, ascending(context), IMAGES);
    const places = unitKinds(context.config).flatMap((kind) => (scores[kind] ?? []).map((row) => [...row]));
    for (const row of places) expect(row).toEqual(row.toSorted((a, b) => a - b));
    expect(places.flat().toSorted((a, b) => a - b)).toEqual(places.flat().map((_, place) => place));
  });

  it.each(both)('takes units in the order of what they cost, measured: %s', async (units) => {
    const context = { ...contexts[units], steps: memorySteps() };
    const { config } = context;
    const given = ascending(context);
    const ranking = rank(config, given, NONE);
    const measure = await createMeasure(context, ranking.units, {
      images: IMAGES,
      pictures: 'last',
      absorb: true,
    });
    const full = fullVariant(config);
    const costs = await Promise.all(
      unitKinds(config).flatMap((kind) =>
        full.merge.map(async (_, block) => {
          const kept = (full[kind] ?? []).map((count, at) => (at === block ? count - 1 : count));
          const variant = { ...full, [kind]: kept };
          const saving = 1 - flops(config, variant) / flops(config, full);
          return { kind, block, cost: (1 - meanOf(await measure(variant))) / saving };
        }),
      ),
    );
    const scores = await measuredOrder(context, given, IMAGES);
    const [least] = costs.sort((a, b) => a.cost - b.cost);
    if (!least) throw new Error('no units');
    expect(scores[least.kind]?.[least.block]?.[0]).toBe(0);
  });

  it.each(both)('leaves a truer network than the order it was given: %s', async (units) => {
    const context = { ...contexts[units], steps: memorySteps() };
    const given = ascending(context);
    const fidelity = async (scores: UnitScores) => {
      const ranking = rank(context.config, scores, NONE);
      const variant = fitToShare(
        context.config,
        ranking,
        { attention: 4, channels: 0, merge: [0, 0, 0] },
        0.75,
      );
      if (!variant) throw new Error('no variant');
      const measure = await createMeasure(context, ranking.units, {
        images: IMAGES,
        pictures: 'last',
        absorb: true,
      });
      return meanOf(await measure(variant));
    };
    const [before, after] = [
      await fidelity(given),
      await fidelity(await measuredOrder(context, given, IMAGES)),
    ];
    expect(1 - after).toBeLessThan(0.9 * (1 - before));
  });

  it('lets a block go first whose units do nothing', async () => {
    const base = contexts.heads;
    const { createAnalysis } = await import('../../../../src/engine/index.ts');
    const name = 'blocks.2.mlp.fc2.weight';
    const { shape, data } = base.tensors.get(name) ?? { shape: [], data: new Float32Array() };
    const tensors = new Map([...base.tensors, [name, { shape, data: data.map(() => 0) }]]);
    const model = await createAnalysis({ device: 'cpu', config: base.config, tensors, workers: 1 });
    const context = { ...base, tensors, model, steps: memorySteps() };
    const { channels } = await measuredOrder(context, ascending(context), IMAGES);
    await model.dispose();
    // One of every block stays as long as blocks are measured.
    expect([...(channels[2] ?? [])].slice(0, -1)).toEqual(Array.from({ length: 19 }, (_, place) => place));
  });

  it('goes on from where it was stopped and ends the same', async () => {
    const given = ascending(contexts.heads);
    const whole = await measuredOrder({ ...contexts.heads, steps: memorySteps() }, given, IMAGES);
    const stop = new AbortController();
    const kept = memorySteps();
    let saves = 0;
    const steps: StepStore = {
      load: kept.load,
      async save(step, result) {
        await kept.save(step, result);
        if (++saves === 2) stop.abort();
      },
    };
    const stopped = { ...contexts.heads, steps, signal: stop.signal };
    await expect(measuredOrder(stopped, given, IMAGES)).rejects.toThrow();
    const embed = vi.spyOn(contexts.heads.model, 'embed');
    const resumed = await measuredOrder({ ...contexts.heads, steps: kept }, given, IMAGES);
    expect(resumed).toEqual(whole);
    const after = embed.mock.calls.length;
    await measuredOrder({ ...contexts.heads, steps: memorySteps() }, given, IMAGES);
    expect(after).toBeLessThan(0.8 * (embed.mock.calls.length - after));
    embed.mockRestore();
  });
});
