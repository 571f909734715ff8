import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { PreprocessingSchema } from '../../src/vit/index.ts';
import { sharpDecoder } from '../../src/vit/node.ts';
import { wasmDecoder } from '../../src/vit/web/index.ts';
import { hasSharedData, SHARED_DATA } from '../support/shared-data.ts';
import { tinyConfig } from '../support/tiny-vit.ts';
import { wasmModule } from '../support/wasm-module.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures/preprocessing');
const { cropPct, cropMode, interpolation } = PreprocessingSchema.shape;
const { size, cases } = z
  .object({
    size: z.number(),
    cases: z.array(z.object({ name: z.string(), file: z.string(), cropPct, cropMode, interpolation })),
  })
  .parse(JSON.parse(readFileSync(join(FIXTURES, 'cases.json'), 'utf8')));

const decoder = wasmDecoder({
  jpeg: await wasmModule('@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm'),
  png: await wasmModule('@jsquash/png/codec/pkg/squoosh_png_bg.wasm'),
  webp: await wasmModule('@jsquash/webp/codec/dec/webp_dec.wasm'),
});

/** Unnormalised, so that the decoder's output is the pixels' values in [0, 1]. */
const plain = { mean: [0, 0, 0] as [number, number, number], std: [1, 1, 1] as [number, number, number] };
const config = tinyConfig({
  imageSize: 32,
  preprocessing: { ...tinyConfig().preprocessing, ...plain, cropPct: 0.9 },
});
const code = (expected: string) => expect.objectContaining({ code: expected });

/** Mean and largest difference, in levels of 255. */
function differences(found: Float32Array, expected: (i: number) => number): { mean: number; most: number } {
  const all = Array.from(found, (value, i) => 255 * Math.abs(value - expected(i)));
  return { mean: all.reduce((sum, value) => sum + value, 0) / all.length, most: Math.max(...all) };
}

/** A picture with soft and hard edges, differently coloured corners, and no symmetry. */
function scene(width: number, height: number): Sharp {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * 3;
      const [u, v] = [x / width, y / height];
      data[at] = 255 * u;
      data[at + 1] = 128 + 100 * Math.sin(9 * v + 5 * u);
      data[at + 2] = (x - width / 3) ** 2 + (y - height / 2) ** 2 < (height / 4) ** 2 ? 230 : 255 * v * u;
    }
  }
  return sharp(data, { raw: { width, height, channels: 3 } });
}

async function againstSharp(bytes: Uint8Array) {
  const expected = await sharpDecoder().decode(bytes, config);
  return differences(await decoder.decode(bytes, config), (i) => expected[i] ?? Number.NaN);
}

describe('decoding with WebAssembly, compared with Pillow and timm (levels of 255)', () => {
  it.each(cases.filter(({ file }) => !/cmyk|gif|tif|avif/.test(file)))(
    '$name',
    async ({ name, file, ...how }) => {
      const own = tinyConfig({ imageSize: size, preprocessing: { ...how, ...plain } });
      const expected = readFileSync(join(FIXTURES, `${name}.u8`));
      const plane = size * size;
      const found = await decoder.decode(readFileSync(join(FIXTURES, file)), own);
      const { mean, most } = differences(
        found,
        (i) => (expected[(i % plane) * 3 + Math.floor(i / plane)] ?? Number.NaN) / 255,
      );
      expect(mean).toBeLessThan(file === 'alpha.png' ? 0.6 : 0.2);
      expect(most).toBeLessThan(2.01);
    },
  );
});

describe('decoding with WebAssembly, compared with the native gateway (mean below 0.3 levels of 255, none above 3)', () => {
  it.each(['jpeg', 'png', 'webp'] as const)('%s', async (format) => {
    const bytes = await scene(80, 60).toFormat(format, { quality: 90 }).toBuffer();
    const { mean, most } = await againstSharp(bytes);
    expect(mean).toBeLessThan(0.3);
    expect(most).toBeLessThan(3);
  });

  // libvips leaves out detail while it decodes where a JPEG is shrunk a lot; Pillow and this decoder do not.
  it.each([
    ['png', 0.6],
    ['webp', 0.6],
    ['jpeg', 2],
  ] as const)('%s shrunk by more than four: mean below %d', async (format, bound) => {
    const bytes = await scene(203, 151).toFormat(format, { quality: 90 }).toBuffer();
    expect((await againstSharp(bytes)).mean).toBeLessThan(bound);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('a JPEG with EXIF orientation %i', async (orientation) => {
    const bytes = await scene(120, 80).withMetadata({ orientation }).jpeg({ quality: 95 }).toBuffer();
    const { mean, most } = await againstSharp(bytes);
    expect(mean).toBeLessThan(0.3);
    expect(most).toBeLessThan(3);
  });

  it.each(['png', 'webp'] as const)('a turned %s', async (format) => {
    const bytes = await scene(120, 80)
      .withMetadata({ orientation: 6 })
      .toFormat(format, { quality: 95 })
      .toBuffer();
    expect((await againstSharp(bytes)).most).toBeLessThan(3);
  });

  it.each([
    ['a grey JPEG', () => scene(90, 70).greyscale().jpeg()],
    ['a progressive JPEG', () => scene(90, 70).jpeg({ progressive: true })],
    ['a palette PNG', () => scene(90, 70).png({ palette: true, colours: 16 })],
    ['a 16 bit PNG', () => scene(90, 70).toColourspace('rgb16').png()],
    ['a lossless WebP', () => scene(90, 70).webp({ lossless: true })],
    ['a picture that is enlarged', () => scene(20, 14).png()],
  ])('%s', async (_, make) => {
    const { mean, most } = await againstSharp(await make().toBuffer());
    expect(mean).toBeLessThan(0.3);
    expect(most).toBeLessThan(3);
  });

  it.each(['png', 'webp'] as const)('a %s with alpha, over white', async (format) => {
    const alpha = Uint8Array.from({ length: 90 * 70 }, (_, i) => (i % 90) * 2.8);
    const bytes = await scene(90, 70)
      .joinChannel(Buffer.from(alpha), { raw: { width: 90, height: 70, channels: 1 } })
      .toFormat(format, { lossless: true })
      .toBuffer();
    const { mean, most } = await againstSharp(bytes);
    expect(mean).toBeLessThan(0.6);
    expect(most).toBeLessThan(3);
  });
});

describe('a colour profile, compared with the native gateway (LittleCMS; mean below 0.4 levels of 255, none above 3)', () => {
  it.each([
    ['a JPEG in Display P3', () => scene(90, 70).withIccProfile('p3').jpeg({ quality: 95 })],
    ['a PNG in Display P3', () => scene(90, 70).withIccProfile('p3').png()],
    ['a PNG of 16 bits in Display P3', () => scene(90, 70).toColourspace('rgb16').withIccProfile('p3').png()],
    ['a WebP in Display P3', () => scene(90, 70).withIccProfile('p3').webp({ lossless: true })],
    ['a JPEG in sRGB', () => scene(90, 70).withIccProfile('srgb').jpeg({ quality: 95 })],
  ])('%s', async (_, make) => {
    const bytes = await make().toBuffer();
    const { mean, most } = await againstSharp(bytes);
    expect(mean).toBeLessThan(0.4);
    expect(most).toBeLessThan(3);
  });

  it.runIf(hasSharedData).each(['icc_p3.jpg', 'rgb8_p3_chunk.png', 'rgb16_p3.png'])(
    '%s, against Pillow and LittleCMS',
    async (file) => {
      const bytes = readFileSync(join(SHARED_DATA, 'cases/images', file));
      const reference = await sharpDecoder().decode(
        readFileSync(join(SHARED_DATA, 'cases/images', `${file}.ref.png`)),
        config,
      );
      const { mean, most } = differences(
        await decoder.decode(bytes, config),
        (i) => reference[i] ?? Number.NaN,
      );
      expect(mean).toBeLessThan(0.6);
      expect(most).toBeLessThan(3);
    },
  );

  it('of tables is refused, and one that is damaged is passed over as libvips does', async () => {
    const png = await scene(30, 20).withIccProfile('p3').webp({ lossless: true }).toBuffer();
    const tables = Buffer.from(png);
    tables.write('A2B0', tables.indexOf('rTRC'));
    await expect(decoder.decode(tables, config)).rejects.toEqual(code('unsupported-media-type'));
    const damaged = Buffer.from(png);
    damaged.write('nope', damaged.indexOf('acsp'));
    const plain = await decoder.decode(await scene(30, 20).webp({ lossless: true }).toBuffer(), config);
    expect(plain).toHaveLength((await decoder.decode(damaged, config)).length);
  });
});

describe('decoding with WebAssembly refuses', () => {
  it.each([
    ['GIF', () => scene(30, 20).gif()],
    ['AVIF', () => scene(30, 20).avif()],
    ['TIFF', () => scene(30, 20).tiff()],
    ['CMYK JPEG', () => scene(30, 20).toColourspace('cmyk').jpeg()],
  ])('%s, naming what it takes', async (_, make) => {
    const refused = decoder.decode(await make().toBuffer(), config);
    await expect(refused).rejects.toEqual(code('unsupported-media-type'));
    await expect(refused).rejects.toThrow('image/jpeg, image/png, image/webp');
  });

  it.each(['jpeg', 'png', 'webp'] as const)('a %s that ends too early, wherever', async (format) => {
    const bytes = await scene(60, 40).toFormat(format).toBuffer();
    for (const share of [0.02, 0.1, 0.5, 0.9]) {
      const cut = bytes.subarray(0, Math.floor(share * bytes.length));
      await expect(decoder.decode(cut, config), `${share}`).rejects.toEqual(code('undecodable-image'));
    }
    expect((await decoder.decode(bytes, config)).length).toBe(3 * 32 * 32);
  });

  it.each(['jpeg', 'png', 'webp'] as const)('a %s of too many pixels, from its header', async (format) => {
    const bytes = await scene(60, 40).toFormat(format).toBuffer();
    const limited = decoder.decode(bytes, config, { maxPixels: 2399 });
    await expect(limited).rejects.toMatchObject({
      code: 'too-many-pixels',
      details: { width: 60, height: 40 },
    });
    await decoder.decode(bytes, config, { maxPixels: 2400 });
  });

  it('nothing at all, and text', async () => {
    for (const bytes of [new Uint8Array(), new TextEncoder().encode('a picture, honestly')]) {
      await expect(decoder.decode(bytes, config)).rejects.toEqual(code('undecodable-image'));
    }
  });
});
