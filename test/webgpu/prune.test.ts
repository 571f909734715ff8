import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRandom } from '../../src/pruning/data/random.ts';
import { prune } from '../../src/pruning/index.ts';
import { best } from '../../src/pruning/recipe/recipes/best.ts';
import { quick } from '../../src/pruning/recipe/recipes/quick.ts';
import type { RecipeInput } from '../../src/pruning/recipe/schema.ts';
import { memoryStore } from '../../src/storage/index.ts';
import { timmFiles } from '../support/timm-files.ts';
import { tinyConfig, tinyTensors } from '../support/tiny-vit.ts';

const config = tinyConfig({ channels: 20 });
const PICTURES = 12;
const images = { fit: 8, held: 4 };
/** The default recipe with few candidates: every kind of call that `quick` does not make. */
const JOINT: RecipeInput = {
  ...best,
  images,
  criterion: { kind: 'gate-curvature', settings: { projections: 1 } },
  correction: { kind: 'ridge', settings: { images: 6, trials: 2, epochs: 1 } },
  path: { kind: 'joint-search', settings: { images: 6, candidates: 3 } },
};

describe.skipIf(!process.env.VK_ICD_FILENAMES)('pruning on ONNX Runtime’s WebGPU provider', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'prune-webgpu-'));
    for (let index = 0; index < PICTURES; index++) {
      const random = createRandom(index);
      const raw = { width: 24, height: 18, channels: 3 as const };
      const noise = Uint8Array.from({ length: 24 * 18 * 3 }, () => random.integer(256));
      await writeFile(join(folder, `${index}.png`), await sharp(noise, { raw }).png().toBuffer());
    }
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each([
    ['quick', { ...quick, images }],
    ['best', JOINT],
  ] as const)(
    'by %s gives the ladder that the CPU gives, fidelities to three digits',
    async (name, recipe) => {
      const [cpu, gpu] = await Promise.all(
        (['cpu', 'webgpu'] as const).map(async (device) => {
          const { ladder } = await prune({
            model: timmFiles(config, tinyTensors(config)),
            images: folder,
            store: memoryStore(),
            recipe,
            levels: [0.6, 0.8, 1],
            seed: 3,
            work: join(folder, `${name}-${device}`),
            device,
          });
          return ladder;
        }),
      );
      const counts = ({ heads, channels, merge, flops }: (typeof cpu & object)[number]) => [
        heads,
        channels,
        merge,
        flops,
      ];
      expect(gpu?.map(counts)).toEqual(cpu?.map(counts));
      for (const [index, level] of (cpu ?? []).entries()) {
        const found = gpu?.[index]?.fidelity;
        expect(found?.fp32.mean).toBeCloseTo(level.fidelity.fp32.mean, 3);
        expect(found?.fp32.p5).toBeCloseTo(level.fidelity.fp32.p5, 3);
        expect(found?.int8?.mean ?? 1).toBeCloseTo(level.fidelity.int8?.mean ?? 1, 3);
      }
      expect(cpu?.at(-1)?.fidelity.fp32.mean).toBe(1);
    },
    300_000,
  );
});
