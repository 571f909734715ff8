import { describe, expect, it } from 'vitest';
import type { PruningContext } from '../../../src/pruning/contracts.ts';
import { lampCriterion, lampScores } from '../../../src/pruning/criteria/lamp.ts';
import { magnitudeCriterion } from '../../../src/pruning/criteria/magnitude.ts';
import { sensitivity } from '../../../src/pruning/criteria/snapvit/kernels/gradient-sums.ts';
import { randomCriterion } from '../../../src/pruning/criteria/uniform-random.ts';
import { tinyConfig, tinyTensors } from '../../support/tiny-vit.ts';

const config = tinyConfig({ channels: 20 });
const tensors = tinyTensors(config);
// These criteria look at the network's weights and the seed only.
const context = { config, tensors, seed: 3 } as unknown as PruningContext;

/** Weights of a unit read element by element from the documented layouts. */
function channelWeights(block: number, channel: number): number[] {
  const { data } = tensors.get(`blocks.${block}.mlp.fc1.weight`) ?? { data: new Float32Array() };
  return Array.from({ length: 12 }, (_, k) => data[channel * 12 + k] ?? Number.NaN);
}
function valueWeights(block: number, head: number): number[] {
  const { data } = tensors.get(`blocks.${block}.attn.qkv.weight`) ?? { data: new Float32Array() };
  const weights: number[] = [];
  for (let row = 0; row < 4; row++) {
    for (let k = 0; k < 12; k++) weights.push(data[((head * 3 + 2) * 4 + row) * 12 + k] ?? Number.NaN);
  }
  return weights;
}

describe('LAMP', () => {
  it('agrees with a worked example', () => {
    // Squares 9, 1, 4: the largest scores 9/9, the next 4/(4+9), the smallest 1/(1+4+9).
    expect([...lampScores(Float64Array.of(9, 1, 4))]).toEqual([1, 1 / 14, 4 / 13]);
  });

  it('counts an equal unit that comes later as the larger', () => {
    expect([...lampScores(Float64Array.of(2, 2))]).toEqual([0.5, 1]);
  });

  it("scores every unit by its layer's squared norms", async () => {
    const scores = await lampCriterion().score(context);
    for (let block = 0; block < 3; block++) {
      const squares = Array.from({ length: 20 }, (_, j) =>
        channelWeights(block, j).reduce((sum, w) => sum + w * w, 0),
      );
      for (let j = 0; j < 20; j++) {
        const own = squares[j] ?? 0;
        const noSmaller = squares.filter((square) => square >= own).reduce((a, b) => a + b, 0);
        expect(scores.channels[block]?.[j]).toBeCloseTo(own / noSmaller, 12);
      }
    }
  });
});

describe('magnitude', () => {
  it("is the mean absolute value of fc1's row and of a head's value rows", async () => {
    const scores = await magnitudeCriterion().score(context);
    const mean = (weights: number[]) => weights.reduce((sum, w) => sum + Math.abs(w), 0) / weights.length;
    for (let block = 0; block < 3; block++) {
      for (let j = 0; j < 20; j++) {
        expect(scores.channels[block]?.[j]).toBeCloseTo(mean(channelWeights(block, j)), 12);
      }
      for (let h = 0; h < 3; h++) {
        expect(scores.heads[block]?.[h]).toBeCloseTo(mean(valueWeights(block, h)), 12);
      }
    }
  });
});

describe('SNIP-magnitude', () => {
  it('is the mean of |weight x gradient| over the unit', () => {
    const gradients = Float64Array.of(100, 100, 3, -2, 0.5);
    expect(sensitivity(Float32Array.of(1, -4, 2), gradients, 2)).toBeCloseTo((3 + 8 + 1) / 3, 12);
  });
});

describe('the random criterion', () => {
  it('repeats for a seed and differs for another', async () => {
    const [a, b, other] = await Promise.all([
      randomCriterion().score(context),
      randomCriterion().score(context),
      randomCriterion().score({ ...context, seed: 4 }),
    ]);
    expect(a).toEqual(b);
    expect(a).not.toEqual(other);
  });
});
