import { CholeskyDecomposition, EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { describe, expect, it } from 'vitest';
import { ckaMatrix } from '../../../../../src/pruning/criteria/snapvit/evolution/kernels/cka.ts';
import { nearestCorrelation } from '../../../../../src/pruning/criteria/snapvit/evolution/nearest-correlation.ts';
import { createRandom } from '../../../../../src/pruning/data/random.ts';

describe('linear CKA', () => {
  it('agrees with a worked example', () => {
    // X = (1, 2, 6)', centred (-2, -1, 3)'; Y = [(1, 0), (0, 1), (2, 2)], centred [(0, -1), (-1, 0), (1, 1)].
    // Y'X = (4, 5)', |Y'X|^2 = 41; |X'X| = 14; Y'Y = [[2, 1], [1, 2]], |Y'Y| = sqrt(10).
    const matrix = ckaMatrix(
      [
        { data: [1, 2, 6], features: 1 },
        { data: [1, 0, 0, 1, 2, 2], features: 2 },
      ],
      3,
    );
    expect(matrix[0]).toBe(1);
    expect(matrix[3]).toBe(1);
    expect(matrix[1]).toBeCloseTo(41 / (14 * Math.sqrt(10)), 14);
    expect(matrix[2]).toBe(matrix[1]);
  });

  it('does not change with rotation, scale or shift of a representation', () => {
    const random = createRandom(1);
    const x = Array.from({ length: 40 }, () => random.normal());
    const y = Array.from({ length: 40 }, () => random.normal());
    const [c, s] = [Math.cos(0.7), Math.sin(0.7)];
    const turned = x.map((_, at) => {
      const [a = 0, b = 0] = [x[at - (at % 2)], x[at - (at % 2) + 1]];
      return 5 * (at % 2 === 0 ? c * a - s * b : s * a + c * b) + (at % 2 === 0 ? 3 : -7);
    });
    const data = [x, y, turned].map((values) => ({ data: values, features: 2 }));
    const matrix = ckaMatrix(data, 20);
    expect(matrix[2]).toBeCloseTo(1, 12);
    expect(matrix[5]).toBeCloseTo(matrix[1] ?? 0, 12);
  });

  it('is zero beside a representation that never changes', () => {
    const matrix = ckaMatrix(
      [
        { data: [4, 4, 4], features: 1 },
        { data: [1, 2, 3], features: 1 },
      ],
      3,
    );
    expect([...matrix]).toEqual([1, 0, 0, 1]);
  });
});

describe('the nearest correlation matrix', () => {
  it("is Higham's published answer for his example", () => {
    // Higham 2002, section 1: tridiagonal ones; the solution to four digits is printed there.
    const given = new Matrix([
      [1, 1, 0],
      [1, 1, 1],
      [0, 1, 1],
    ]);
    const nearest = nearestCorrelation(given);
    const published = new Matrix([
      [1, 0.7607, 0.1573],
      [0.7607, 1, 0.7607],
      [0.1573, 0.7607, 1],
    ]);
    expect(Matrix.sub(nearest, published).abs().max()).toBeLessThan(6e-5);
  });

  it('is positive definite with a unit diagonal, so that a Cholesky factor exists', () => {
    const random = createRandom(2);
    const symmetric = new Matrix(12, 12);
    for (let i = 0; i < 12; i++) {
      for (let j = 0; j <= i; j++) {
        const value = i === j ? 1 : 2 * random.uniform() - 1;
        symmetric.set(i, j, value);
        symmetric.set(j, i, value);
      }
    }
    const nearest = nearestCorrelation(symmetric);
    expect(Math.min(...new EigenvalueDecomposition(nearest).realEigenvalues)).toBeGreaterThan(0);
    expect(nearest.diagonal()).toEqual(new Array(12).fill(1));
    expect(new CholeskyDecomposition(nearest).isPositiveDefinite()).toBe(true);
  });

  it('leaves a correlation matrix as it is', () => {
    const correlation = new Matrix([
      [1, 0.5],
      [0.5, 1],
    ]);
    expect(Matrix.sub(nearestCorrelation(correlation), correlation).abs().max()).toBeLessThan(1e-9);
  });
});
