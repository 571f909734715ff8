import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  crossBudgetRecall,
  evaluate,
  fidelity,
  htmlReport,
  knnTop1,
  linearProbeTop1,
  readLabelledImages,
  type Vectors,
} from '../../src/evaluation/index.ts';
import { picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';
import { uniform } from '../support/tiny-vit.ts';

const vectors = (rows: readonly (readonly number[])[]): Vectors => ({
  width: rows[0]?.length ?? 0,
  count: rows.length,
  data: Float32Array.from(rows.flat()),
});

describe('the measures, on worked examples', () => {
  it('fidelity is the mean cosine: 1, 0 and -1 give 0, scale does not matter', () => {
    const full = vectors([
      [1, 0],
      [0, 2],
      [1, 1],
    ]);
    const level = vectors([
      [5, 0],
      [3, 0],
      [-2, -2],
    ]);
    const found = fidelity(level, full);
    expect(found.mean).toBeCloseTo(0, 6);
    expect(found.p5).toBeCloseTo(-1, 6);
  });

  it('k-NN takes the majority of the nearest, not the nearest', () => {
    const gallery = vectors([
      [1, 0],
      [0.9, 0.3],
      [0.9, 0.35],
      [0, 1],
    ]);
    const query = vectors([[1, 0.01]]);
    // The nearest is of class 0; two of the three nearest are of class 1.
    expect(knnTop1(gallery, [0, 1, 1, 0], query, [0], 1)).toBe(1);
    expect(knnTop1(gallery, [0, 1, 1, 0], query, [1], 3)).toBe(1);
    expect(knnTop1(gallery, [0, 1, 1, 0], query, [0], 3)).toBe(0);
  });

  it('recall asks for what the full network finds first', () => {
    const gallery = vectors([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
    const atFull = vectors([
      [1, 0.1, 0],
      [0, 1, 0.1],
    ]);
    // The first query still finds picture 0 second; the second finds picture 1 first.
    const atLevel = vectors([
      [0.5, 1, 0],
      [0, 1, 0.2],
    ]);
    expect(crossBudgetRecall(gallery, atFull, atLevel, [1, 2])).toEqual([0.5, 1]);
  });

  it('a linear probe separates what a line separates, and not what it cannot', () => {
    const next = uniform(3);
    const points = Array.from({ length: 400 }, () => [next(), next()]);
    const line = points.map(([x = 0, y = 0]) => Number(2 * x - y + 0.1 > 0));
    expect(
      linearProbeTop1(
        vectors(points.slice(0, 300)),
        line.slice(0, 300),
        vectors(points.slice(300)),
        line.slice(300),
        2,
      ),
    ).toBeGreaterThan(0.97);
    const xor = points.map(([x = 0, y = 0]) => Number(x * y > 0));
    expect(
      linearProbeTop1(
        vectors(points.slice(0, 300)),
        xor.slice(0, 300),
        vectors(points.slice(300)),
        xor.slice(300),
        2,
      ),
    ).toBeLessThan(0.65);
  });
});

describe('evaluate', () => {
  it('measures every level; the full one is itself', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'concertina-classes-'));
    for (const [name, hue] of [
      ['red', '#d02010'],
      ['blue', '#1030d0'],
    ] as const) {
      await mkdir(join(folder, name));
      for (let i = 0; i < 8; i++)
        await writeFile(join(folder, name, `${i}.png`), await picture(hue, { width: 16 + i, height: 20 }));
    }
    await writeFile(join(folder, 'red', '7.png'), 'not a picture');
    const images = await readLabelledImages(folder);
    expect(images).toMatchObject({ classes: ['blue', 'red'] });
    expect([images.gallery.length, images.queries.length]).toEqual([12, 4]);
    const found = await evaluate(await tinyStore(), 'tiny', images);
    expect(found).toMatchObject({ gallery: 12, queries: 3, skipped: 1, recipe: 'test' });
    expect(found.levels.map(({ level }) => level)).toEqual([0, 1, 2]);
    // With fewer than 20 pictures all of them vote: a tie, which goes to the first class, that of two of three queries.
    expect(found.levels[2]).toMatchObject({ flops: 1, knn: 2 / 3, probe: 1, recall: { at1: 1, at10: 1 } });
    expect(found.levels[2]?.fidelity.mean).toBeCloseTo(1, 6);
    expect(found.levels[0]?.fidelity.mean).toBeLessThan(0.9999);
    const page = htmlReport([found]);
    expect(page.match(/<polyline/g)).toHaveLength(4);
    expect(page).not.toMatch(/<script|https?:/);
    expect(page).not.toContain('NaN');
  });

  it('says what a folder must look like', async () => {
    const empty = await mkdtemp(join(tmpdir(), 'concertina-empty-'));
    await expect(readLabelledImages(empty)).rejects.toMatchObject({ code: 'no-images' });
  });
});
