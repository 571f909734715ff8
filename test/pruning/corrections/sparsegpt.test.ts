import { Matrix, solve } from 'ml-matrix';
import { describe, expect, it } from 'vitest';
import { type Damping, sparseGptUpdate } from '../../../src/pruning/corrections/sparsegpt.ts';
import { createRandom } from '../../../src/pruning/data/random.ts';

const [INPUTS, KEPT, WIDTH, SAMPLES] = [7, 4, 3, 50];

function layer() {
  const random = createRandom(6);
  const mixing = Matrix.rand(INPUTS, INPUTS, { random: () => random.normal() });
  const x = Matrix.rand(SAMPLES, INPUTS, { random: () => random.normal() }).mmul(mixing);
  const weight = Matrix.rand(INPUTS, WIDTH, { random: () => Math.fround(random.normal()) });
  return { x, weight, hessian: x.transpose().mmul(x) };
}

function update({ weight, hessian }: ReturnType<typeof layer>, damping: Damping): Matrix {
  const result = sparseGptUpdate(
    Float32Array.from(weight.to1DArray()),
    Float64Array.from(hessian.to1DArray()),
    { inputs: INPUTS, kept: KEPT, width: WIDTH },
    damping,
  );
  return Matrix.from1DArray(KEPT, WIDTH, result);
}

/** SparseGPT's own loop (algorithm 1), input by input, the removed ones first, each step compensated by all later ones. */
function literalSparseGpt(weight: Matrix, hessian: Matrix, lambda: number): Matrix {
  const order = [4, 5, 6, 0, 1, 2, 3];
  const damped = hessian.clone();
  for (let k = 0; k < INPUTS; k++) damped.set(k, k, damped.get(k, k) + lambda);
  const w = weight.clone();
  for (const [step, input] of order.slice(0, INPUTS - KEPT).entries()) {
    const left = order.slice(step);
    const inverse = solve(damped.selection(left, left), Matrix.eye(left.length));
    const pivot = inverse.get(0, 0);
    const removed = w.getRow(input).map((value) => value / pivot);
    for (const [at, other] of left.entries()) {
      for (let d = 0; d < WIDTH; d++) {
        w.set(other, d, w.get(other, d) - (removed[d] ?? 0) * inverse.get(at, 0));
      }
    }
  }
  return w.subMatrix(0, KEPT - 1, 0, WIDTH - 1);
}

describe("SparseGPT's update", () => {
  it('is the least-squares solution on the kept inputs when the damping vanishes', () => {
    const small = layer();
    const kept = small.x.subMatrix(0, SAMPLES - 1, 0, KEPT - 1);
    const target = small.x.mmul(small.weight);
    const leastSquares = solve(kept, target, true);
    const difference = Matrix.sub(update(small, { damping: 1e-12, statistic: 'mean' }), leastSquares);
    expect(difference.abs().max()).toBeLessThan(1e-5);
  });

  it.each([
    ['mean', (diagonal: number[]) => diagonal.reduce((a, b) => a + b, 0) / diagonal.length],
    ['max', (diagonal: number[]) => Math.max(...diagonal)],
    // Seven values: the 95th percentile lies 0.7 of the way from the sixth to the seventh.
    [
      'percentile-95',
      (diagonal: number[]) => {
        const sorted = [...diagonal].sort((a, b) => a - b);
        return 0.3 * (sorted[5] ?? 0) + 0.7 * (sorted[6] ?? 0);
      },
    ],
  ] as const)('is the end of the published loop with damping by the %s of the diagonal', (statistic, of) => {
    const small = layer();
    const literal = literalSparseGpt(small.weight, small.hessian, 0.1 * of(small.hessian.diagonal()));
    const difference = Matrix.sub(update(small, { damping: 0.1, statistic }), literal);
    expect(difference.abs().max()).toBeLessThan(1e-5);
  });

  it('changes nothing when the inputs were never active', () => {
    const { weight } = layer();
    const still = { x: Matrix.zeros(1, 1), weight, hessian: Matrix.zeros(INPUTS, INPUTS) };
    const unchanged = weight.subMatrix(0, KEPT - 1, 0, WIDTH - 1);
    expect(
      Matrix.sub(update(still, { damping: 0.01, statistic: 'mean' }), unchanged)
        .abs()
        .max(),
    ).toBe(0);
  });
});
