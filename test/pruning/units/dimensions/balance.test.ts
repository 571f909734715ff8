import { Matrix } from 'ml-matrix';
import { describe, expect, it } from 'vitest';
import { createRandom } from '../../../../src/pruning/data/random.ts';
import { balance } from '../../../../src/pruning/units/dimensions/balance.ts';

const SIZE = 5;

/** Second moments of vectors `G z`, z with independent coordinates: `G G'`, and G itself to draw them. */
function moments(seed: number, falling = 1) {
  const random = createRandom(seed);
  const factor = new Matrix(
    Array.from({ length: SIZE }, () =>
      Array.from({ length: SIZE }, (_, k) => random.normal() * falling ** k),
    ),
  );
  return { factor, matrix: factor.mmul(factor.transpose()) };
}

function expectClose(found: Matrix, expected: Matrix, digits: number) {
  for (let i = 0; i < found.rows; i++)
    for (let j = 0; j < found.columns; j++) expect(found.get(i, j)).toBeCloseTo(expected.get(i, j), digits);
}

describe('balanced bases', () => {
  const [x, y] = [moments(1), moments(2, 0.5)];
  const { left, right } = balance(x.matrix, y.matrix);

  it('leave every product as it is', () => {
    expectClose(left.mmul(right.transpose()), Matrix.eye(SIZE), 9);
  });

  it('make both moments the same diagonal, falling', () => {
    const [ofX, ofY] = [
      left.transpose().mmul(x.matrix).mmul(left),
      right.transpose().mmul(y.matrix).mmul(right),
    ];
    const diagonal = ofX.diagonal();
    expectClose(ofX, Matrix.diag(diagonal), 9);
    expectClose(ofY, Matrix.diag(diagonal), 9);
    expect(diagonal).toEqual(diagonal.toSorted((a, b) => b - a));
    // Its squares are the eigenvalues of the product of both moments, whatever the basis: their sum is its trace.
    const squares = diagonal.reduce((sum, value) => sum + value * value, 0);
    expect(squares).toBeCloseTo(x.matrix.mmul(y.matrix).trace(), 9);
  });

  it('cut off lose less than any of a thousand other products of as many dimensions', () => {
    // E (x' (1 - L R') y)^2 with x and y independent, L and R being the first columns of the bases.
    const lost = (l: Matrix, r: Matrix, kept: number) => {
      const rest = Matrix.eye(SIZE).sub(
        l.subMatrix(0, SIZE - 1, 0, kept - 1).mmul(r.subMatrix(0, SIZE - 1, 0, kept - 1).transpose()),
      );
      return x.matrix.mmul(rest).mmul(y.matrix).mmul(rest.transpose()).trace();
    };
    const random = createRandom(3);
    const noise = (scale: number) =>
      new Matrix(
        Array.from({ length: SIZE }, () => Array.from({ length: SIZE }, () => scale * random.normal())),
      );
    for (const kept of [1, 2, 4]) {
      const own = lost(left, right, kept);
      for (let trial = 0; trial < 500; trial++) {
        expect(lost(noise(1), noise(1), kept)).toBeGreaterThan(own);
        const [near, nearer] = [noise(0.02), noise(0.02)];
        expect(lost(near.add(left), nearer.add(right), kept)).toBeGreaterThan(own);
      }
    }
  });

  it('exist for vectors that are always zero, or lie in fewer dimensions', () => {
    const flat = new Matrix(SIZE, SIZE);
    for (const one of [flat, Matrix.diag([3, 1, 0, 0, 0])]) {
      const bases = balance(one, y.matrix);
      expectClose(bases.left.mmul(bases.right.transpose()), Matrix.eye(SIZE), 6);
    }
  });
});
