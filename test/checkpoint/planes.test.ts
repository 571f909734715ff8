import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { coarse, columnScales, fine, splitPlanes } from '../../src/checkpoint/planes.ts';

describe('weights in two planes', () => {
  it('are the numbers of a worked example', () => {
    // One step is 1 / 127 of the largest number, and a 256th of it in the low plane.
    const data = Float32Array.of(1, -0.5, 0.1, 0, 0, 0);
    const planes = splitPlanes({ shape: [2, 3], data });
    expect(Array.from(planes.scale)).toEqual([Math.fround(1 / 127), 0]);
    // -0.5 is -16256 low steps: -63.5 high ones, rounded up to -63. 0.1 is 3251.2 low steps, 12.7 high ones.
    expect(Array.from(planes.high)).toEqual([127, -63, 13, 0, 0, 0]);
    expect(Array.from(planes.low)).toEqual([0, -128, -77, 0, 0, 0]);
    const near = (found: Float32Array, expected: readonly number[]) =>
      expected.forEach((value, i) => {
        expect(found[i]).toBeCloseTo(value, 7);
      });
    near(coarse(planes).data, [1, -63 / 127, 13 / 127, 0, 0, 0]);
    near(fine(planes).data, [1, -0.5, 3251 / 32512, 0, 0, 0]);
  });

  it('have columns evened out by powers of two where columns are outputs', () => {
    // The second column is 64 times the first: alone, the first would be left with two codes.
    const data = Float32Array.of(0.01, 0.8, 0.005, -0.4, 0, 0.2);
    const tensor = { shape: [3, 2], data };
    const columns = columnScales('blocks.0.mlp.fc2.weight', tensor);
    expect(Array.from(columns ?? [])).toEqual([1 / 64, 1]);
    expect(columnScales('blocks.0.mlp.fc1.weight', tensor)).toBeUndefined();
    const planes = splitPlanes(tensor, columns);
    // Row 0 in columns: 0.64 and 0.8, so codes 101.6 and 127.
    expect(Array.from(planes.high)).toEqual([102, 127, 102, -127, 0, 127]);
    expect(coarse(planes).data[0]).toBeCloseTo(((0.8 / 127) * 102) / 64, 8);
    const once = fine(planes);
    once.data.forEach((value, i) => {
      expect(value).toBeCloseTo(data[i] ?? 0, 5);
    });
    const again = fine(splitPlanes(once, columnScales('blocks.0.mlp.fc2.weight', once)));
    expect(again.data).toEqual(once.data);
  });

  it('are within half a step of each plane, whatever the numbers', () => {
    const number = fc.float({ min: -1000, max: 1000, noNaN: true });
    fc.assert(
      fc.property(fc.array(number, { minLength: 1, maxLength: 40 }), (values) => {
        const data = Float32Array.from(values);
        const planes = splitPlanes({ shape: [1, data.length], data });
        const step = Math.max(...values.map(Math.abs)) / 127;
        const slack = 1 + 1e-5;
        // Where steps are below what float32 has.
        const tiny = 1e-37;
        coarse(planes).data.forEach((value, i) => {
          expect(Math.abs(value - (data[i] ?? 0))).toBeLessThanOrEqual(
            (step / 2 + step / 512) * slack + tiny,
          );
        });
        fine(planes).data.forEach((value, i) => {
          expect(Math.abs(value - (data[i] ?? 0))).toBeLessThanOrEqual((step / 512) * slack + tiny);
        });
      }),
      { numRuns: 500 },
    );
  });

  it('split again give the same numbers', () => {
    const data = Float32Array.from({ length: 300 }, (_, i) => Math.sin(i) * (i % 7));
    const once = fine(splitPlanes({ shape: [10, 30], data }));
    const twice = fine(splitPlanes(once));
    expect(twice.data).toEqual(once.data);
  });
});
