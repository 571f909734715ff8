import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { decodePicture, sharpDecoder } from '../../src/vit/node.ts';
import { SHARED_DATA } from '../support/shared-data.ts';
import { tinyConfig } from '../support/tiny-vit.ts';

const CASES = join(SHARED_DATA, 'cases/images');
const solid = (width: number, height: number, background: string) =>
  sharp({ create: { width, height, channels: 3, background } });

/** Mean and largest difference, levels of 255. */
function differences(found: Uint8Array, expected: Uint8Array): { mean: number; most: number } {
  const all = Array.from(expected, (value, i) => Math.abs(value - (found[i] ?? Number.NaN)));
  return { mean: all.reduce((sum, value) => sum + value, 0) / all.length, most: Math.max(...all) };
}

describe.runIf(existsSync(CASES))('pictures that once came out wrong, against Pillow and LittleCMS', () => {
  it.each(['gif_offset.gif', 'icc_p3.jpg', 'rgb8_p3_chunk.png', 'rgb16_p3.png'])('%s', async (file) => {
    const found = await decodePicture(readFileSync(join(CASES, file)));
    const expected = await sharp(join(CASES, `${file}.ref.png`))
      .raw()
      .toBuffer();
    const { mean, most } = differences(found.data, expected);
    expect(mean).toBeLessThan(0.05);
    expect(most).toBeLessThanOrEqual(1);
  });

  it('premul.tif is read as its own tag 338 says: alpha is not associated', async () => {
    const bytes = readFileSync(join(CASES, 'premul.tif'));
    // Uncompressed: the one strip begins at byte 154.
    const expected = Uint8Array.from({ length: 120 * 90 * 3 }, (_, i) => {
      const at = 154 + 4 * Math.floor(i / 3);
      const alpha = (bytes[at + 3] ?? 0) / 255;
      return (bytes[at + (i % 3)] ?? 0) * alpha + 255 * (1 - alpha);
    });
    expect(differences((await decodePicture(bytes)).data, expected).most).toBeLessThanOrEqual(1);
  });

  it('x.heic is refused with a sentence', async () => {
    await expect(decodePicture(readFileSync(join(CASES, 'x.heic')))).rejects.toMatchObject({
      code: 'undecodable-image',
      message: expect.stringMatching(/is a HEIC.*Export it as JPEG/),
    });
  });
});

describe('a colour profile', () => {
  // Display P3 to sRGB: both curves are sRGB's; the matrix is that of CSS Color 4, section 10.
  const curve = (v: number) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const back = (v: number) => (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055);
  const MATRIX = [
    [1.2249, -0.2247, 0],
    [-0.042, 1.0419, 0],
    [-0.0196, -0.0786, 1.0979],
  ];
  const p3 = [200, 100, 50];
  const expected = MATRIX.map((row) =>
    Math.round(255 * back(row.reduce((sum, m, i) => sum + m * curve((p3[i] ?? 0) / 255), 0))),
  );

  it.each(['uchar', 'ushort'] as const)('is applied at %s', async (depth) => {
    const values = depth === 'uchar' ? Uint8Array.from(p3) : Uint16Array.from(p3, (value) => value * 257);
    const picture = sharp(values, { raw: { width: 1, height: 1, channels: 3 } });
    const pixel = depth === 'uchar' ? picture : picture.toColourspace('rgb16');
    const png = await pixel.keepIccProfile().png().toBuffer();
    const profile = await sharp({ create: { width: 1, height: 1, channels: 3, background: '#000' } })
      .withIccProfile('p3')
      .png()
      .toBuffer();
    const found = await decodePicture(withChunk(png, chunkOf(profile, 'iCCP')));
    expect(differences(found.data, Uint8Array.from(expected)).most).toBeLessThanOrEqual(1);
  });
});

describe('the first frame of a GIF that is smaller than its canvas', () => {
  it('lies on white, also where the file says nothing of transparency', async () => {
    const gif = await solid(4, 3, '#ff0000').gif().toBuffer();
    // The frame's place and the size of the canvas, GIF89a sections 18 and 20.
    const frame = gif.indexOf(Buffer.from([0x2c, 0, 0, 0, 0, 4, 0, 3, 0]));
    gif.writeUInt16LE(6, 6);
    gif.writeUInt16LE(5, 8);
    gif.writeUInt16LE(1, frame + 1);
    gif.writeUInt16LE(2, frame + 3);
    const { width, height, data } = await decodePicture(gif);
    expect([width, height]).toEqual([6, 5]);
    for (let y = 0; y < 5; y++)
      for (let x = 0; x < 6; x++) {
        const covered = x >= 1 && x < 5 && y >= 2;
        expect([...data.subarray((y * 6 + x) * 3, (y * 6 + x + 1) * 3)]).toEqual(
          covered ? [255, 0, 0] : [255, 255, 255],
        );
      }
  });
});

describe('a TIFF whose alpha', () => {
  const rgba = Uint8Array.from([40, 0, 60, 128, 10, 20, 30, 255, 0, 0, 0, 0]);
  const tiff = async (associated: boolean) => {
    const bytes = await sharp(rgba, { raw: { width: 3, height: 1, channels: 4 } })
      .tiff({ compression: 'none' })
      .toBuffer();
    // Tag 338, SHORT, one value: 2 is unassociated, 1 associated.
    const entry = bytes.indexOf(Buffer.from([0x52, 0x01, 3, 0, 1, 0, 0, 0]));
    bytes.writeUInt16LE(associated ? 1 : 2, entry + 8);
    return await decodePicture(bytes);
  };

  it('is associated: colours are there already, white is added for the rest', async () => {
    const expected = Uint8Array.from([167, 127, 187, 10, 20, 30, 255, 255, 255]);
    expect(differences((await tiff(true)).data, expected).most).toBeLessThanOrEqual(1);
  });

  it('is not: colours are weighted by it', async () => {
    const expected = Uint8Array.from([147, 127, 157, 10, 20, 30, 255, 255, 255]);
    expect(differences((await tiff(false)).data, expected).most).toBeLessThanOrEqual(1);
  });
});

describe('a photograph of more pixels than are decoded whole', () => {
  const config = tinyConfig({ imageSize: 32 });
  /** Left half red, right half blue, in the stored picture. */
  const halves = async (orientation: number, progressive = false) =>
    await sharp({ create: { width: 1200, height: 800, channels: 3, background: '#f00' } })
      .composite([{ input: await solid(600, 800, '#00f').png().toBuffer(), left: 600, top: 0 }])
      .withMetadata({ orientation })
      .jpeg({ quality: 95, progressive, chromaSubsampling: '4:4:4' })
      .toBuffer();
  const limited = { maxPixels: 300_000 };

  it.each([1, 3, 6, 8])(
    'is read at a reduced scale and turned (orientation %i) as at full scale',
    async (o) => {
      const jpeg = await halves(o);
      for (const accuracy of ['exact', 'fast'] as const) {
        const decoder = sharpDecoder({ accuracy });
        const [reduced, whole] = [
          await decoder.decode(jpeg, config, limited),
          await decoder.decode(jpeg, config),
        ];
        // Normalised pixels have deviation 0.5: a level of 255 is 1/127.5.
        const off = Array.from(whole, (value, i) => Math.abs(value - (reduced[i] ?? Number.NaN)) * 127.5);
        expect(off.reduce((sum, value) => sum + value, 0) / off.length).toBeLessThan(1.1);
      }
      const picture = await decodePicture(jpeg, limited);
      expect([picture.width, picture.height]).toEqual(o >= 5 ? [200, 300] : [300, 200]);
    },
  );

  it('is refused beyond four times as many, where it is progressive, and in other formats', async () => {
    const refused = { code: 'too-many-pixels' };
    const decoder = sharpDecoder();
    await expect(decoder.decode(await halves(1), config, { maxPixels: 239_999 })).rejects.toMatchObject(
      refused,
    );
    await expect(decoder.decode(await halves(1, true), config, limited)).rejects.toMatchObject(refused);
    const png = await solid(1200, 800, '#f00').png().toBuffer();
    await expect(decoder.decode(png, config, limited)).rejects.toMatchObject(refused);
  });
});

/** A chunk of a PNG with its length and check sum. */
function chunkOf(png: Buffer, name: string): Buffer {
  const at = png.indexOf(name) - 4;
  return png.subarray(at, at + 12 + png.readUInt32BE(at));
}

/** The PNG with a chunk behind its header. */
const withChunk = (png: Buffer, chunk: Buffer) =>
  Buffer.concat([png.subarray(0, 33), chunk, png.subarray(33)]);
