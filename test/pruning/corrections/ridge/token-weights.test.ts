import { describe, expect, it } from 'vitest';
import { createAnalysis } from '../../../../src/engine/index.ts';
import { activationMeans } from '../../../../src/pruning/activations/activation-means.ts';
import { absorbMeans } from '../../../../src/pruning/activations/mean-absorption.ts';
import type { PruningContext } from '../../../../src/pruning/contracts.ts';
import { ridgeCorrection } from '../../../../src/pruning/corrections/ridge/correction.ts';
import { fullVariant, type VitConfig } from '../../../../src/vit/index.ts';
import { tinyContext } from '../../tiny-context.ts';

const IMAGES = 8;
/** Width, heads and their size of the tiny network. */
const [D, H, DH] = [12, 3, 4];
const PROJ = 'blocks.0.attn.proj';

/** A network in which one patch has a stream many times as long as the others' and of a direction of its own. */
async function unevenContext(changes: Partial<VitConfig>): Promise<PruningContext> {
  const context = await tinyContext({ imageSize: 20, ...changes }, { fit: 12, held: 4 });
  await context.model.dispose();
  const positions = context.tensors.get('embed.position') ?? expect.fail('no positions');
  const long = positions.data.map((value, at) => (Math.floor(at / D) === 5 ? 60 * value : value));
  const tensors = new Map([...context.tensors, ['embed.position', { ...positions, data: long }]]);
  return {
    ...context,
    tensors,
    model: await createAnalysis({ device: 'cpu', config: context.config, tensors, workers: 1 }),
  };
}

/** Literally: the bias that takes over, on a weighted average over tokens, what the last head of block 0 gave. */
async function literalBias(
  { model, tensors, images }: PruningContext,
  weightOf: (token: number, squaredLength: number) => number,
): Promise<number[]> {
  const data = (name: string) => tensors.get(name)?.data ?? expect.fail(`no ${name}`);
  const [weight, bias] = [data(`${PROJ}.weight`), data(`${PROJ}.bias`)];
  const pixels = await images.fit.pixels([...Array(IMAGES).keys()]);
  const stream = await model.embedTokens(pixels, IMAGES);
  const read = await model.activations(stream, IMAGES, { block: 0, part: 'attention' });
  const tokens = stream.length / D / IMAGES;
  const [sums, total] = [Array<number>(D).fill(0), { weight: 0 }];
  for (let row = 0; row < stream.length / D; row++) {
    const given = (input: number, d: number) =>
      (read[row * H * DH + input] ?? 0) * (weight[input * D + d] ?? 0);
    const sum = (first: number, d: number) => {
      let all = 0;
      for (let input = first; input < H * DH; input++) all += given(input, d);
      return all;
    };
    const full = bias.map((value, d) => (stream[row * D + d] ?? 0) + value + sum(0, d));
    const w = weightOf(
      row % tokens,
      full.reduce((squares, value) => squares + value * value, 0),
    );
    total.weight += w;
    for (let d = 0; d < D; d++) sums[d] = (sums[d] ?? 0) + w * sum((H - 1) * DH, d);
  }
  return sums.map((sum, d) => (bias[d] ?? 0) + sum / total.weight);
}

/** How far `point` lies beside the line from `start` to `end`, in lengths of that line, and where along it. */
function besides(point: ArrayLike<number>, start: ArrayLike<number>, end: ArrayLike<number>) {
  const difference = (a: ArrayLike<number>, b: ArrayLike<number>) =>
    Array.from(a, (value, d) => value - (b[d] ?? 0));
  const dot = (a: number[], b: number[]) => a.reduce((sum, value, d) => sum + value * (b[d] ?? 0), 0);
  const [moved, line] = [difference(point, start), difference(end, start)];
  const along = dot(moved, line) / dot(line, line);
  const beside = difference(
    moved,
    line.map((value) => along * value),
  );
  return { along, beside: Math.sqrt(dot(beside, beside) / dot(line, line)) };
}

describe('the weight of a token in the correction', () => {
  it.each([
    // [CLS] alone has a fifth of the weight of 25 patches.
    [
      'falls with the square of its length',
      {},
      {},
      (token: number, squares: number) => (token === 0 ? 0.2 : 0.8 / 25) / squares,
    ],
    [
      'is shared with what pooling reads as asked',
      {},
      { pooledShare: 0.6 },
      (token: number, squares: number) => (token === 0 ? 0.6 : 0.4 / 25) / squares,
    ],
    [
      'is the same for all where all are pooled',
      { pool: 'mean' },
      {},
      (_: number, squares: number) => 1 / squares,
    ],
    [
      'does not look at its length when it is told not to',
      {},
      { relative: false },
      (token: number) => (token === 0 ? 0.2 : 0.8 / 25),
    ],
  ] as const)('%s', async (_, changes, settings, weightOf) => {
    const context = await unevenContext(changes);
    const { config, tensors } = context;
    const full = fullVariant(config);
    const variant = { ...full, heads: [2, 3, 3] };
    const units = {
      heads: full.heads.map((count) => [...Array(count).keys()]),
      channels: full.channels.map((count) => [...Array(count).keys()]),
    };
    const target = { variant, units };
    const start = absorbMeans(config, tensors, await activationMeans(context), target).get(`${PROJ}.bias`);
    const correction = ridgeCorrection({ kind: 'mean', images: IMAGES, trials: 4, enough: 2, ...settings });
    const corrected = (await correction.correct(context, variant, units)).get(`${PROJ}.bias`);
    const { along, beside } = besides(
      corrected?.data ?? [],
      start?.data ?? [],
      await literalBias(context, weightOf),
    );
    // As far as paid in the trial: a quarter, a half, three quarters or all of the way.
    expect([0.25, 0.5, 0.75, 1]).toContain(Math.round(along * 1000) / 1000);
    expect(beside).toBeLessThan(1e-3);
    await context.model.dispose();
  });
});
