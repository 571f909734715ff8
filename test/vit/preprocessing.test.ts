import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { isProblem } from '../../src/problem/index.ts';
import { cropGeometry, normalise, type Preprocessing, PreprocessingSchema } from '../../src/vit/index.ts';
import { cropPicture, sharpDecoder } from '../../src/vit/node.ts';
import { relativeError } from '../support/relative-error.ts';
import { tinyConfig } from '../support/tiny-vit.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures/preprocessing');
const { cropPct, cropMode, interpolation } = PreprocessingSchema.shape;
const { size, cases } = z
  .object({
    size: z.number(),
    cases: z.array(z.object({ name: z.string(), file: z.string(), cropPct, cropMode, interpolation })),
  })
  .parse(JSON.parse(readFileSync(join(FIXTURES, 'cases.json'), 'utf8')));

/** Unnormalised, so that the decoder's output is the pixels' values in [0, 1]. */
const plain = { mean: [0, 0, 0] as [number, number, number], std: [1, 1, 1] as [number, number, number] };

describe.each(['exact', 'fast'] as const)(
  'preprocessing (%s), compared with Pillow and timm (levels of 255)',
  (accuracy) => {
    it.each(cases)('$name', async ({ name, file, ...how }) => {
      const config = tinyConfig({ imageSize: size, preprocessing: { ...how, ...plain } });
      const found = await sharpDecoder({ accuracy }).decode(readFileSync(join(FIXTURES, file)), config);
      const expected = readFileSync(join(FIXTURES, `${name}.u8`));
      const differences = Array.from(found, (value, i) => {
        const plane = size * size;
        return Math.abs(value * 255 - (expected[(i % plane) * 3 + Math.floor(i / plane)] ?? Number.NaN));
      });
      const mean = differences.reduce((sum, value) => sum + value, 0) / differences.length;
      expect(mean).toBeLessThan(file === 'alpha.png' ? 0.6 : 0.2);
      expect(Math.max(...differences)).toBeLessThan(file === 'cmyk.jpg' ? 8.01 : 2.01);
    });
  },
);

describe('the geometry of the crop', () => {
  const geometry = (how: Partial<Preprocessing>, imageSize: number, width: number, height: number) => {
    const preprocessing = { ...tinyConfig().preprocessing, ...how };
    return Object.values(cropGeometry(tinyConfig({ imageSize, preprocessing }), width, height));
  };

  // Resized width and height, left, top, size: worked by hand from torchvision's Resize and CenterCrop.
  it.each([
    ['the short side to floor(224 / 0.9)', { cropPct: 0.9 }, 224, 500, 375, [330, 248, 53, 12, 224]],
    ['the long side rounded down', { cropPct: 0.875 }, 224, 333, 500, [256, 384, 16, 80, 224]],
    ['half pixels to the even neighbour', { cropPct: 1 }, 224, 225, 224, [225, 224, 0, 0, 224]],
    ['and again', { cropPct: 1 }, 224, 227, 224, [227, 224, 2, 0, 224]],
    ['a share of 224 / 248 as 248', { cropPct: 224 / 248 }, 224, 248, 300, [248, 300, 12, 38, 224]],
    ['squashed', { cropPct: 1, cropMode: 'squash' as const }, 224, 500, 375, [224, 224, 0, 0, 224]],
    [
      'squashed and cut',
      { cropPct: 0.875, cropMode: 'squash' as const },
      224,
      5,
      375,
      [256, 256, 16, 16, 224],
    ],
    ['a very flat picture', { cropPct: 1 }, 32, 1000, 1, [32000, 32, 15984, 0, 32]],
  ])('%s', (_, how, size, width, height, expected) => {
    expect(geometry(how, size, width, height)).toEqual(expected);
  });
});

describe('normalising', () => {
  it('is (value / 255 - mean) / std, channels first', () => {
    const config = tinyConfig({
      imageSize: 2,
      preprocessing: { ...tinyConfig().preprocessing, mean: [0.1, 0.2, 0.3], std: [0.5, 0.25, 1] },
    });
    const rgb = Uint8Array.from({ length: 12 }, (_, i) => i * 20);
    const out = normalise(rgb, config, new Float32Array(12));
    const expected = [0, 60, 120, 180].map((value) => (value / 255 - 0.1) / 0.5);
    expected.push(...[20, 80, 140, 200].map((value) => (value / 255 - 0.2) / 0.25));
    expected.push(...[40, 100, 160, 220].map((value) => value / 255 - 0.3));
    expect(relativeError(out, expected)).toBeLessThan(1e-6);
  });
});

describe('crops of a decoded picture', () => {
  it('are cut out exactly before they are resized', async () => {
    const config = tinyConfig({ imageSize: 4, preprocessing: { ...tinyConfig().preprocessing, ...plain } });
    const data = Uint8Array.from({ length: 9 * 7 * 3 }, (_, i) => i);
    const crop = await cropPicture(
      { width: 9, height: 7, data },
      { left: 3, top: 2, width: 4, height: 4 },
      config,
    );
    const expected = [0, 1, 2].flatMap((channel) =>
      Array.from({ length: 16 }, (_, i) => ((2 + Math.floor(i / 4)) * 9 + 3 + (i % 4)) * 3 + channel),
    );
    expect(Array.from(crop, (value) => Math.round(value * 255))).toEqual(expected);
  });

  it('enlarge as Pillow does', async () => {
    const config = tinyConfig({ imageSize: 16, preprocessing: { ...tinyConfig().preprocessing, ...plain } });
    const data = Uint8Array.from({ length: 8 * 8 * 3 }, (_, i) => (Math.floor(i / 3) % 8) * 30);
    const crop = await cropPicture(
      { width: 8, height: 8, data },
      { left: 0, top: 0, width: 8, height: 8 },
      config,
    );
    // A ramp of 30 a pixel from 8 to 16 pixels by Pillow's bicubic filter.
    const ramp = [0, 5, 21, 38, 53, 68, 83, 98, 113, 128, 143, 158, 173, 189, 205, 213];
    expect(Array.from(crop.subarray(0, 16), (value) => Math.round(value * 255))).toEqual(ramp);
  });
});

describe('a body that cannot be used', () => {
  const decode = (image: Uint8Array, maxPixels?: number) =>
    sharpDecoder().decode(
      image,
      tinyConfig({ imageSize: size }),
      maxPixels === undefined ? {} : { maxPixels },
    );
  const wide = readFileSync(join(FIXTURES, 'wide.png'));

  it.each([
    ['is no image', new TextEncoder().encode('hello, this is text')],
    ['is empty', new Uint8Array()],
    ['is cut short', wide.subarray(0, wide.length / 2)],
    ['is an SVG, which can refer to other files', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')],
  ])('%s', async (_, body) => {
    await expect(decode(body)).rejects.toMatchObject({ code: 'undecodable-image' });
  });

  it('has too many pixels, which is found before it is decoded', async () => {
    await expect(decode(wide, 97 * 70 - 1)).rejects.toMatchObject({ code: 'too-many-pixels' });
    await expect(decode(wide, 97 * 70)).resolves.toHaveLength(3 * size * size);
  });

  it('is a line whose short side would make it enormous: only the centre is computed', async () => {
    const line = { create: { width: 20_000, height: 1, channels: 3 as const, background: '#336699' } };
    const pixels = await decode(await sharp(line).png().toBuffer());
    expect(pixels).toHaveLength(3 * size * size);
    expect(pixels[0]).toBeCloseTo((0x33 / 255 - 0.5) / 0.5, 5);
  });

  it('has any byte flipped: decoded or refused, never another error', async () => {
    const image = readFileSync(join(FIXTURES, 'tall.jpg'));
    await fc.assert(
      fc.asyncProperty(fc.nat(image.length - 1), fc.nat(255), async (at, value) => {
        const damaged = Uint8Array.from(image);
        damaged[at] = value;
        const outcome = await decode(damaged).catch((error: unknown) => error);
        expect(outcome instanceof Float32Array || isProblem(outcome), String(outcome)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});
