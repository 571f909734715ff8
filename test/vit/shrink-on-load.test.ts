import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { decodePicture, sharpDecoder } from '../../src/vit/node.ts';
import { tinyConfig, uniform } from '../support/tiny-vit.ts';

const SIZE = 64;
const config = tinyConfig({
  imageSize: SIZE,
  preprocessing: { ...tinyConfig().preprocessing, mean: [0, 0, 0], std: [1, 1, 1], cropPct: 1 },
});

/** Something like a photograph: soft shapes, edges, and detail that gets weaker as it gets finer. */
async function photograph(width: number, height: number): Promise<Buffer> {
  const random = uniform(5);
  const waves = Array.from({ length: 60 }, (_, k) => {
    const frequency = 2 ** (1 + k / 8);
    const angle = Math.PI * random();
    return {
      x: (frequency * Math.cos(angle)) / width,
      y: (frequency * Math.sin(angle)) / height,
      phase: 6 * random(),
      height: 60 / (1 + k / 6),
    };
  });
  const data = new Uint8ClampedArray(width * height * 3);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      let value = x > width / 3 && y > height / 2 ? 150 : 90;
      for (const wave of waves)
        value += (wave.height / 6) * Math.sin(6.283 * (wave.x * x + wave.y * y) + wave.phase);
      for (let c = 0; c < 3; c++) data[3 * (y * width + x) + c] = value + 20 * c * (x / width);
    }
  return await sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 90 })
    .toBuffer();
}

/** Catmull-Rom's kernel. */
const kernel = (x: number) => {
  const d = Math.abs(x);
  if (d < 1) return 1.5 * d ** 3 - 2.5 * d ** 2 + 1;
  return d < 2 ? -0.5 * d ** 3 + 2.5 * d ** 2 - 4 * d + 2 : 0;
};

/** Weights of all input positions for an output position: the kernel as wide as the picture shrinks. */
function weights(from: number, scale: number, at: number): [number, number][] {
  const list = Array.from({ length: from }, (_, i): [number, number] => [
    i,
    kernel((i + 0.5) / scale - (at + 0.5)),
  ]).filter(([, weight]) => weight !== 0);
  const total = list.reduce((sum, [, weight]) => sum + weight, 0);
  return list.map(([i, weight]) => [i, weight / total]);
}

/** All pixels decoded and every output pixel summed over all of its inputs: levels of 255, `[3, size, size]`. */
async function reference(jpeg: Uint8Array): Promise<number[]> {
  const { width, height, data } = await decodePicture(jpeg);
  const scale = Math.min(width, height) / SIZE;
  // 10.5 pixels beside the square go to the even neighbour.
  const start = (side: number) => Math.floor((Math.floor(side / scale) - SIZE) / 2);
  const across = (x: number) => weights(width, width / Math.floor(width / scale), start(width) + x);
  const columns = Array.from({ length: SIZE }, (_, x) => across(x));
  const out = new Array<number>(3 * SIZE * SIZE).fill(0);
  for (let y = 0; y < SIZE; y++) {
    const rows = weights(height, height / Math.floor(height / scale), start(height) + y);
    for (const [x, column] of columns.entries())
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (const [row, down] of rows)
          for (const [at, weight] of column) sum += down * weight * (data[3 * (row * width + at) + c] ?? 0);
        out[c * SIZE * SIZE + y * SIZE + x] = Math.min(255, Math.max(0, sum));
      }
  }
  return out;
}

async function difference(jpeg: Uint8Array, accuracy: 'exact' | 'fast') {
  const found = await sharpDecoder({ accuracy }).decode(jpeg, config);
  const expected = await reference(jpeg);
  const differences = Array.from(found, (value, i) => Math.abs(value * 255 - (expected[i] ?? Number.NaN)));
  const mean = differences.reduce((sum, value) => sum + value, 0) / differences.length;
  return { mean, max: Math.max(...differences) };
}

function both(jpeg: Uint8Array): Promise<Float32Array[]> {
  const decode = (accuracy: 'exact' | 'fast') => sharpDecoder({ accuracy }).decode(jpeg, config);
  return Promise.all([decode('exact'), decode('fast')]);
}

describe('a JPEG much larger than the network looks at', () => {
  let large: Buffer;
  beforeAll(async () => {
    large = await photograph(640, 480);
  });

  it('is resized exactly from all its pixels where that is asked for', async () => {
    const { mean, max } = await difference(large, 'exact');
    // The reference is not rounded; pixels are, after each of the two passes.
    expect(mean).toBeLessThan(0.3);
    expect(max).toBeLessThan(1.2);
  });

  it('is decoded at a smaller scale within the stated tolerance otherwise', async () => {
    const { mean, max } = await difference(large, 'fast');
    expect(mean).toBeLessThan(1.1);
    expect(max).toBeLessThan(20);
    // The same bits would mean that nothing was saved.
    const [exact, fast] = await both(large);
    expect(fast).not.toEqual(exact);
  });

  it.each([3, 6, 8])('is turned as its EXIF orientation %i says', async (orientation) => {
    const turned = await sharp(large)
      .keepExif()
      .withMetadata({ orientation })
      .jpeg({ quality: 90 })
      .toBuffer();
    const { mean } = await difference(turned, 'fast');
    expect(mean).toBeLessThan(1.1);
  });

  it('gives the same bits as the exact way when it is less than twice as large', async () => {
    const smaller = await photograph(160, 120);
    const [exact, fast] = await both(smaller);
    expect(fast).toEqual(exact);
  });
});
