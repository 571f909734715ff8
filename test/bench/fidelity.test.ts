import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compare } from '../../bench/fidelity/compare.ts';
import { createMeasure } from '../../bench/fidelity/measure.ts';
import { workFolder } from '../../bench/fidelity/work.ts';
import { silent } from '../../src/progress/index.ts';
import { createRandom } from '../../src/pruning/data/random.ts';
import { rowCosines } from '../../src/pruning/fidelity/fidelity.ts';
import { fullVariant } from '../../src/vit/index.ts';
import { randomImages, tinyContext } from '../pruning/tiny-context.ts';
import { timmFiles } from '../support/timm-files.ts';
import { tinyConfig, tinyTensors } from '../support/tiny-vit.ts';

const config = tinyConfig({ channels: 20 });
const model = timmFiles(config, tinyTensors(config));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fidelity-'));
  const places = ['calibration', ...['train', 'test'].flatMap((split) => [`${split}/a`, `${split}/b`])];
  for (const [place, name] of places.entries()) {
    await mkdir(join(folder, name), { recursive: true });
    for (let index = 0; index < 12; index++) {
      const random = createRandom(place, index);
      const raw = { width: 24, height: 18, channels: 3 as const };
      const noise = Uint8Array.from({ length: 24 * 18 * 3 }, () => random.integer(256));
      const bytes = await sharp(noise, { raw }).png().toBuffer();
      await writeFile(join(folder, name, `${String(index).padStart(2, '0')}.png`), bytes);
    }
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Two contestants on the tiny network; steps in a work folder of the given name. */
async function run(work: string, queries: number) {
  const { rows } = await compare({
    model,
    calibration: join(folder, 'calibration'),
    labelled: folder,
    work: join(folder, work),
    fit: 8,
    held: 4,
    more: 0,
    gallery: 4,
    queries,
    evaluations: 2,
    fitnessImages: 4,
    ablation: false,
    only: ['random', 'snapvit-reference, uncorrected'],
    report: silent,
  });
  return rows.map(({ contestant, measured }) => ({ name: contestant.name, measured }));
}

describe('the comparison of pruning methods', () => {
  it('measures other pictures anew when its work folder holds steps over fewer or more', async () => {
    const fresh = await run('fresh', 3);
    await run('shared', 2);
    expect(await run('shared', 3)).toEqual(fresh);
    await run('shared', 2);
    expect(await run('shared', 3)).toEqual(fresh);
  });

  it('keeps steps apart by model and split', () => {
    const inputs = {
      model: { weights: 'w', config: 'c' },
      calibration: { digest: 'd', fit: 8, held: 4 },
    };
    const folders = [
      inputs,
      { ...inputs, model: { weights: 'v', config: 'c' } },
      { ...inputs, calibration: { digest: 'd', fit: 7, held: 5 } },
    ].map((given) => workFolder('work', given));
    expect(new Set(folders).size).toBe(folders.length);
    expect(workFolder('work', structuredClone(inputs))).toBe(folders[0]);
  });

  it('finds the full network at cosine 1, its own k-NN and every first neighbour', async () => {
    const context = await tinyContext();
    const pictures = (count: number, seed: number) => ({
      images: randomImages(context.config, count, seed),
      labels: Array.from({ length: count }, (_, at) => at % 2),
    });
    const measure = createMeasure(context.model, {
      gallery: pictures(20, 5),
      queries: pictures(9, 6),
      held: context.images.held,
    });
    const network = { variant: fullVariant(context.config) };
    const level = await measure.level(context.model, 1, network, true);
    const knn = await measure.knn();
    await context.model.dispose();
    expect(level).toMatchObject({ share: 1, flops: 1, knn, recall10: 1 });
    expect(level.queries).toBeCloseTo(1, 6);
    expect(level.held).toBeCloseTo(1, 6);
  });
});

describe('the cosine of rows', () => {
  it('is refused for embeddings of different numbers of pictures', () => {
    expect(() => rowCosines([1, 0, 0, 1], [1, 0], 2)).toThrow('not the same rows');
    expect([...rowCosines([3, 4, 0, 1], [4, 3, 0, -2], 2)]).toEqual([0.96, -1]);
  });
});
