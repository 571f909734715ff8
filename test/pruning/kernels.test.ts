import { describe, expect, it } from 'vitest';
import { diagonalOf, sparseGptSystem } from '../../src/pruning/corrections/kernels/sparsegpt-system.ts';
import { momentsAbout, scaleRows } from '../../src/pruning/corrections/ridge/kernels/moments.ts';
import {
  addToDiagonal,
  biasLeft,
  quadraticError,
  trace,
} from '../../src/pruning/corrections/ridge/kernels/regression.ts';
import { Adam } from '../../src/pruning/corrections/tuning/kernels/adam.ts';
import {
  addColumn,
  columnProducts,
  columnSquares,
  throughNormalisation,
} from '../../src/pruning/criteria/gate-curvature/kernels/columns.ts';
import { addRowTo } from '../../src/pruning/criteria/snapvit/kernels/gradient-sums.ts';
import {
  addColumns,
  addInto,
  addRow,
  addStreamAndBias,
  between,
  difference,
  gathered,
  rowSquares,
  sum,
} from '../../src/pruning/kernels/arrays.ts';
import { covarianceOf } from '../../src/pruning/units/dimensions/kernels/covariance.ts';
import { elementOf } from '../../src/vit/index.ts';
import { uniform } from '../support/tiny-vit.ts';

const random = uniform(5);
const numbers = (count: number) => Float32Array.from({ length: count }, random);
const doubles = (count: number) => Float64Array.from({ length: count }, random);
/** Rows of a matrix as lists, so that the literal versions below read like their formulas. */
const rowsOf = (matrix: ArrayLike<number>, columns: number): number[][] =>
  Array.from({ length: matrix.length / columns }, (_, row) =>
    Array.from({ length: columns }, (_, column) => elementOf(matrix, row * columns + column)),
  );
const column = (rows: number[][], at: number) => rows.map((row) => elementOf(row, at));
const total = (values: Iterable<number>) => [...values].reduce((a, b) => a + b, 0);
const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  total(Array.from(a, (value, at) => value * elementOf(b, at)));

function close(actual: ArrayLike<number>, expected: readonly number[], digits = 6): void {
  expect(actual.length).toBe(expected.length);
  for (const [at, value] of expected.entries()) expect(actual[at]).toBeCloseTo(value, digits);
}

const [ROWS, COLUMNS] = [5, 4];
const matrix = numbers(ROWS * COLUMNS);
const rows = rowsOf(matrix, COLUMNS);

describe('kernels give what their literal versions give:', () => {
  it('sums, differences and mixtures of arrays', () => {
    const [a, b] = [numbers(7), numbers(7)];
    const pair = (of: (x: number, y: number) => number) => Array.from(a, (x, at) => of(x, elementOf(b, at)));
    close(
      sum(a, b),
      pair((x, y) => x + y),
    );
    close(
      difference(a, b),
      pair((x, y) => x - y),
    );
    close(
      between(a, b, 0.3),
      pair((x, y) => 0.3 * x + 0.7 * y),
    );
    const sums = Float64Array.from(a);
    addInto(sums, b, -2);
    close(
      sums,
      pair((x, y) => x - 2 * y),
    );
  });

  it('sums over rows and columns', () => {
    const sums = new Float64Array(COLUMNS).fill(1);
    addColumns(sums, matrix);
    close(
      sums,
      [0, 1, 2, 3].map((at) => 1 + total(column(rows, at))),
    );
    close(
      rowSquares(matrix, COLUMNS),
      rows.map((row) => dot(row, row)),
    );
    close(
      columnSquares(matrix, COLUMNS),
      [0, 1, 2, 3].map((at) => dot(column(rows, at), column(rows, at))),
    );
    const other = doubles(ROWS);
    close(
      columnProducts(matrix, COLUMNS, other),
      [0, 1, 2, 3].map((at) => dot(column(rows, at), other)),
    );
    const columnSums = new Float64Array(ROWS);
    addColumn(columnSums, matrix, COLUMNS, 2);
    close(columnSums, column(rows, 2));
    const rowSums = new Float64Array(COLUMNS);
    addRow(rowSums, matrix, 3, 2);
    close(
      rowSums,
      elementOf(rows, 3).map((value) => 2 * value),
    );
    const into = new Float64Array(2 * COLUMNS);
    addRowTo(into, 1, Float64Array.from(matrix), 4, COLUMNS);
    close(into, [0, 0, 0, 0, ...elementOf(rows, 4)]);
  });

  it('rows in another order, and the stream after a layer', () => {
    expect([...gathered(matrix, [3, 0], COLUMNS)]).toEqual([...elementOf(rows, 3), ...elementOf(rows, 0)]);
    const [change, bias] = [numbers(ROWS * COLUMNS), numbers(COLUMNS)];
    const expected = Array.from(
      change,
      (value, at) => value + elementOf(matrix, at) + elementOf(bias, at % COLUMNS),
    );
    addStreamAndBias(change, matrix, bias);
    close(change, expected);
  });

  it('moments of weighted rows about any centre', () => {
    const weights = [0.5, 2, 1, 0.25, 3];
    const residual = rowsOf(numbers(ROWS * 2), 2);
    const [x, y] = [
      { sum: new Float64Array(COLUMNS), centre: doubles(COLUMNS) },
      { sum: new Float64Array(2), centre: doubles(2) },
    ];
    const roots = Float32Array.from(weights, Math.sqrt);
    const scaled = rowsOf(scaleRows(matrix, roots, COLUMNS, x.sum), COLUMNS);
    const scaledResidual = rowsOf(scaleRows(Float32Array.from(residual.flat()), roots, 2, y.sum), 2);
    const weight = total(weights);
    close(
      x.sum,
      [0, 1, 2, 3].map((i) => dot(column(rows, i), weights)),
    );
    const products = Float64Array.from(
      [0, 1, 2, 3].flatMap((i) => [0, 1].map((j) => dot(column(scaled, i), column(scaledResidual, j)))),
    );
    const expected = [0, 1, 2, 3].flatMap((i) =>
      [0, 1].map((j) =>
        total(
          weights.map(
            (w, row) =>
              (w / weight) *
              (elementOf(elementOf(rows, row), i) - elementOf(x.centre, i)) *
              (elementOf(elementOf(residual, row), j) - elementOf(y.centre, j)),
          ),
        ),
      ),
    );
    close(momentsAbout(products, x, y, weight), expected, 5);
  });

  it('the error of a change of a layer over rows', () => {
    const outputs = 2;
    const targets = rowsOf(numbers(ROWS * outputs), outputs);
    const change = { weight: numbers(COLUMNS * outputs), bias: numbers(outputs) };
    const weightColumns = [0, 1].map((d) => column(rowsOf(change.weight, outputs), d));
    const gram = rowsOf(
      Float32Array.from(
        [0, 1, 2, 3].flatMap((i) => [0, 1, 2, 3].map((j) => dot(column(rows, i), column(rows, j)) / ROWS)),
      ),
      COLUMNS,
    );
    const spread = Float32Array.from(
      [0, 1, 2, 3].flatMap((i) => weightColumns.map((w) => dot(elementOf(gram, i), w))),
    );
    const sums = {
      inputs: Float64Array.from([0, 1, 2, 3], (i) => total(column(rows, i))),
      residual: Float64Array.from([0, 1], (d) => total(column(targets, d))),
      cross: Float64Array.from(
        [0, 1, 2, 3].flatMap((i) => [0, 1].map((d) => dot(column(rows, i), column(targets, d)))),
      ),
    };
    const square = (row: number, given: number) =>
      total(
        [0, 1].map(
          (d) =>
            (elementOf(elementOf(targets, row), d) -
              given * (elementOf(change.bias, d) + dot(elementOf(rows, row), elementOf(weightColumns, d)))) **
            2,
        ),
      );
    const expected = total(rows.map((_, row) => square(row, 1) - square(row, 0))) / ROWS;
    expect(quadraticError(sums, ROWS, change, spread)).toBeCloseTo(expected, 5);
    close(
      biasLeft(sums.residual, sums.inputs, Float64Array.from(change.weight)),
      [0, 1].map((d) => elementOf(sums.residual, d) - dot(sums.inputs, elementOf(weightColumns, d))),
      5,
    );
  });

  it('diagonals, traces and the system of SparseGPT', () => {
    const square = doubles(9);
    expect(trace(square, 3)).toBeCloseTo(elementOf(square, 0) + elementOf(square, 4) + elementOf(square, 8));
    close(
      diagonalOf(square, 3),
      [0, 4, 8].map((at) => elementOf(square, at)),
    );
    const raised = Float64Array.from(square);
    addToDiagonal(raised, 3, 2);
    close(
      raised,
      Array.from(square, (value, at) => value + (at % 4 === 0 ? 2 : 0)),
    );
    const weight = numbers(6);
    const { system, removed } = sparseGptSystem(square, weight, { inputs: 3, kept: 2, width: 2 }, 0.5);
    close(
      system.to1DArray(),
      [0, 1, 3, 4].map((at) => elementOf(square, at) + (at % 4 === 0 ? 0.5 : 0)),
    );
    close(
      removed.to1DArray(),
      [2, 5].flatMap((at) => [4, 5].map((w) => elementOf(square, at) * elementOf(weight, w))),
    );
  });

  it('covariance about the mean', () => {
    const mean = Float64Array.from([0, 1, 2, 3], (i) => total(column(rows, i)) / ROWS);
    const squares = Float64Array.from(
      [0, 1, 2, 3].flatMap((i) => [0, 1, 2, 3].map((j) => dot(column(rows, i), column(rows, j)))),
    );
    const centred = [0, 1, 2, 3].map((i) => column(rows, i).map((value) => value - elementOf(mean, i)));
    const expected = centred.flatMap((a) => centred.map((b) => dot(a, b) / ROWS));
    close(
      covarianceOf(squares, mean, ROWS).flatMap((row) => [...row]),
      expected,
    );
  });

  it('the derivative of a projection of the normalised embedding (central differences)', () => {
    const [embedding, drawn] = [numbers(6), doubles(6)];
    const loss = (e: Float64Array) => dot(drawn, e) / Math.hypot(...e);
    const step = 1e-5;
    const expected = Array.from(embedding, (_, k) => {
      const [up, down] = [Float64Array.from(embedding), Float64Array.from(embedding)];
      up[k] = elementOf(up, k) + step;
      down[k] = elementOf(down, k) - step;
      return (loss(up) - loss(down)) / (2 * step);
    });
    close(throughNormalisation(embedding, drawn), expected, 5);
    close(throughNormalisation(new Float32Array(3), drawn), [0, 0, 0]);
  });

  it('never zero for what is missing', () => {
    const sums = new Float64Array(3);
    addInto(sums, [1, 2]);
    expect([...sums]).toEqual([1, 2, Number.NaN]);
    const parameter = Float32Array.of(1, 2);
    expect(() => new Adam([parameter]).step([], 0.1)).toThrow(RangeError);
    expect(() => new Adam([parameter]).step([Float32Array.of(1)], 0.1)).toThrow(RangeError);
  });
});
