import { Matrix, solve } from 'ml-matrix';
import { describe, expect, it } from 'vitest';
import type { DenseProducts } from '../../../../src/engine/index.ts';
import type { RegressionPiece } from '../../../../src/pruning/corrections/ridge/moments.ts';
import { ridgeChange } from '../../../../src/pruning/corrections/ridge/ridge.ts';
import { createRandom } from '../../../../src/pruning/data/random.ts';
import { solveSpd } from '../../../../src/pruning/linear/kernels/spd-solve.ts';

const random = createRandom(3);
const normals = (count: number) => Float32Array.from({ length: count }, () => random.normal());

/** Products in JavaScript, rounded to float32. */
const matrix = (data: Float32Array, rows: number, columns: number) =>
  Matrix.from1DArray(rows, columns, [...data]);
const matrices: DenseProducts = {
  product: async (a, b, { rows, inner, columns }) =>
    Float32Array.from(
      matrix(a, rows, inner)
        .mmul(matrix(b, inner, columns))
        .to1DArray(),
    ),
  gram: async (a, b, { rows, left, right }) =>
    Float32Array.from(
      matrix(a, rows, left)
        .transpose()
        .mmul(matrix(b, rows, right))
        .to1DArray(),
    ),
};

interface LiteralRow {
  readonly w: number;
  /** With a 1 at the end, for the bias. */
  readonly x: readonly number[];
  readonly y: readonly number[];
}

function rowsOf(pieces: readonly RegressionPiece[]): LiteralRow[] {
  return pieces.flatMap(({ inputs, residual, weights }) =>
    Array.from(weights, (w, row) => ({
      w,
      x: [...inputs.slice(row * 5, row * 5 + 5), 1],
      y: [...residual.slice(row * 3, row * 3 + 3)],
    })),
  );
}

/** Literally: normal equations of [x, 1], all weights scaled to a sum of 1, no penalty on the last row. */
function literal(pieces: readonly RegressionPiece[], ridge: number): Matrix {
  const rows = rowsOf(pieces);
  const total = rows.reduce((sum, { w }) => sum + w, 0);
  const [a, b] = [Matrix.zeros(6, 6), Matrix.zeros(6, 3)];
  for (const { w, x, y } of rows) {
    for (const [i, xi] of x.entries()) {
      for (const [j, xj] of x.entries()) a.set(i, j, a.get(i, j) + (w / total) * xi * xj);
      for (const [d, yd] of y.entries()) b.set(i, d, b.get(i, d) + (w / total) * xi * yd);
    }
  }
  let trace = 0;
  for (let i = 0; i < 5; i++) trace += a.get(i, i) - a.get(i, 5) ** 2;
  for (let i = 0; i < 5; i++) a.set(i, i, a.get(i, i) + (ridge * trace) / 5);
  return solve(a, b);
}

describe('ridge regression of a layer', () => {
  const size = { inputs: 5, outputs: 3 };
  const pieces = [9, 14].map((rows) => ({
    inputs: normals(rows * size.inputs).map((value, at) => value + (at % size.inputs)),
    residual: normals(rows * size.outputs).map((value) => value + 2),
    weights: normals(rows).map(Math.abs),
  }));

  it('minimises weighted squares plus the ridge, with a free bias', async () => {
    const { weight, bias } = await ridgeChange(matrices, pieces, size, 0.7);
    const expected = literal(pieces, 0.7);
    for (let d = 0; d < 3; d++) {
      for (let i = 0; i < 5; i++) expect(weight[i * 3 + d]).toBeCloseTo(expected.get(i, d), 4);
      expect(bias[d]).toBeCloseTo(expected.get(5, d), 4);
    }
  });

  // Little noise: the least ridge is best. Nothing but noise: the largest. In between: neither.
  it.each([
    { noise: 0.05, expected: 0.001 },
    { noise: 3, expected: 0.3 },
    { noise: 1000, expected: 100 },
  ])('takes the ridge that is best on every third piece: noise of $noise', async ({ noise, expected }) => {
    const truth = normals(size.inputs * size.outputs);
    const noisy = [9, 14, 40, 11, 8, 37].map((rows) => {
      const inputs = normals(rows * size.inputs).map((value, at) => value + (at % size.inputs));
      const residual = normals(rows * size.outputs).map((value, at) => {
        const [row, d] = [Math.floor(at / size.outputs), at % size.outputs];
        return truth
          .filter((_, k) => k % size.outputs === d)
          .reduce((sum, w, i) => sum + w * (inputs[row * size.inputs + i] ?? 0), noise * value);
      });
      return { inputs, residual, weights: normals(rows).map(Math.abs) };
    });
    const ridges = [0.001, 0.03, 0.3, 3, 100];
    const fitted = noisy.filter((_, at) => at % 3 !== 2);
    const judges = rowsOf(noisy.filter((_, at) => at % 3 === 2));
    const errors = ridges.map((ridge) => {
      const solution = literal(fitted, ridge);
      return judges.reduce((sum, { w, x, y }) => {
        const given = new Matrix([x]).mmul(solution).to1DArray();
        return sum + w * y.reduce((squares, value, d) => squares + (value - (given[d] ?? 0)) ** 2, 0);
      }, 0);
    });
    const best = ridges[errors.indexOf(Math.min(...errors))] ?? 0;
    expect(best).toBe(expected);
    expect(await ridgeChange(matrices, noisy, size, ridges)).toEqual(
      await ridgeChange(matrices, noisy, size, best),
    );
  });

  it('takes the largest of several ridges when there is nothing to judge them by', async () => {
    expect(await ridgeChange(matrices, pieces, size, [0.1, 5])).toEqual(
      await ridgeChange(matrices, pieces, size, 5),
    );
  });

  it('changes only the bias when the ridge is infinite', async () => {
    const { weight, bias } = await ridgeChange(matrices, pieces, size, Number.POSITIVE_INFINITY);
    expect(weight.every((value) => value === 0)).toBe(true);
    let [sum, total] = [0, 0];
    for (const { residual, weights } of pieces) {
      for (const [row, w] of weights.entries()) {
        sum += w * (residual[row * 3] ?? 0);
        total += w;
      }
    }
    expect(bias[0]).toBeCloseTo(sum / total, 5);
  });

  it('learns nothing from inputs that never vary', async () => {
    const constant = pieces.map((piece) => ({ ...piece, inputs: new Float32Array(piece.inputs.length) }));
    const { weight } = await ridgeChange(matrices, constant, size, 1);
    expect(weight.every((value) => value === 0)).toBe(true);
  });
});

describe('solving a symmetric positive definite system', () => {
  it('gives back the right-hand side when multiplied', () => {
    const n = 7;
    const root = new Matrix(
      Array.from({ length: n }, () => Array.from({ length: n }, () => random.normal())),
    );
    const a = root.mmul(root.transpose()).add(Matrix.eye(n));
    const b = Matrix.rand(n, 2, { random: () => random.uniform() });
    const x = Float64Array.from(b.to1DArray());
    solveSpd(Float64Array.from(a.to1DArray()), x, n, 2);
    const product = a.mmul(new Matrix([...Array(n).keys()].map((row) => [...x.slice(row * 2, row * 2 + 2)])));
    expect(Matrix.sub(product, b).abs().max()).toBeLessThan(1e-11);
  });

  it('refuses a matrix that is not positive definite', () => {
    expect(() => solveSpd(Float64Array.of(1, 2, 2, 1), new Float64Array(2), 2, 1)).toThrow(
      'positive definite',
    );
  });
});
