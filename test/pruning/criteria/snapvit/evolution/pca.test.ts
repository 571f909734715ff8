import { describe, expect, it } from 'vitest';
import { fitPca, project } from '../../../../../src/pruning/criteria/snapvit/evolution/kernels/pca.ts';
import { createRandom } from '../../../../../src/pruning/data/random.ts';

describe('principal components', () => {
  it('agree with a worked example', () => {
    // Points (2, 0), (0, 2), (3, 3), (-1, -1): mean (1, 1), scatter [[10, 6], [6, 10]], eigenvalues 16 and 4.
    const pca = fitPca([2, 0, 0, 2, 3, 3, -1, -1], 4, 2, 2);
    expect([...pca.mean]).toEqual([1, 1]);
    expect(pca.variances[0]).toBeCloseTo(16 / 3, 12);
    expect(pca.variances[1]).toBeCloseTo(4 / 3, 12);
    const half = Math.SQRT1_2;
    expect(pca.components[0]).toBeCloseTo(half, 12);
    expect(pca.components[1]).toBeCloseTo(half, 12);
    expect(Math.abs(pca.components[2] ?? 0)).toBeCloseTo(half, 12);
    expect((pca.components[2] ?? 0) * (pca.components[3] ?? 0)).toBeCloseTo(-0.5, 12);
    const coordinates = project(pca, [3, 3], 1);
    expect(coordinates[0]).toBeCloseTo(2 * Math.SQRT2, 12);
    expect(coordinates[1]).toBeCloseTo(0, 12);
  });

  it.each([
    ['more vectors than dimensions', 60, 9],
    ['fewer vectors than dimensions', 7, 20],
  ])('are orthonormal and keep all distances when all are taken, with %s', (_, rows, width) => {
    const random = createRandom(3);
    const vectors = Float32Array.from({ length: rows * width }, () => random.normal());
    const pca = fitPca(vectors, rows, width, 1000);
    expect(pca.count).toBe(Math.min(width, rows - 1));
    for (let a = 0; a < pca.count; a++) {
      for (let b = 0; b <= a; b++) {
        let dot = 0;
        for (let k = 0; k < width; k++) {
          dot += (pca.components[a * width + k] ?? 0) * (pca.components[b * width + k] ?? 0);
        }
        expect(dot).toBeCloseTo(a === b ? 1 : 0, 10);
      }
    }
    const projected = project(pca, vectors, rows);
    const distance = (data: ArrayLike<number>, size: number) =>
      Math.hypot(...Array.from({ length: size }, (_, k) => (data[k] ?? 0) - (data[size + k] ?? 0)));
    expect(distance(projected, pca.count)).toBeCloseTo(distance(vectors, width), 9);
  });

  it('keep no direction in which the vectors do not vary', () => {
    const random = createRandom(4);
    const vectors = Array.from({ length: 30 }, () => {
      const [a, b] = [random.normal(), random.normal()];
      return [a, b, a + b, a - b, 1];
    });
    expect(fitPca(vectors.flat(), 30, 5, 5).count).toBe(2);
  });
});
