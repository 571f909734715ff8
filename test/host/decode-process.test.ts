import { existsSync } from 'node:fs';
import { getPriority } from 'node:os';
import { afterEach, describe, expect, it } from 'vitest';
import { DecodeProcess } from '../../src/host/decode-process.ts';
import { pictureDecoder } from '../../src/host/picture-decoder.ts';
import { Problem } from '../../src/problem/index.ts';
import { sharpDecoder } from '../../src/vit/node.ts';
import { picture } from '../support/pictures.ts';
import { pngOfZeros } from '../support/png-bomb.ts';
import { tinyConfig } from '../support/tiny-vit.ts';
import { until } from '../support/until.ts';

const config = tinyConfig();
const maxPixels = 50_000_000;
/** Several tenths of a second of a processor. */
const LARGE = pngOfZeros({ width: 3000, height: 3000, colour: 6, depth: 16 });

describe('the process that decodes large pictures', () => {
  let decoding: DecodeProcess | undefined;
  afterEach(() => decoding?.close());
  const start = (limits?: ConstructorParameters<typeof DecodeProcess>[0]) => {
    decoding = new DecodeProcess(limits);
    return decoding;
  };

  it('gives what the gateway itself would, from one process for one picture after another', async () => {
    const process = start();
    const pictures = [await picture('#804020', { width: 300, height: 200 }), await picture('#123456')];
    const decoder = sharpDecoder({ accuracy: 'fast' });
    const [first] = pictures;
    expect(process.pid).toBeUndefined();
    for (const image of pictures) {
      const pixels = await process.decode({ image, config, maxPixels });
      expect(pixels).toEqual(await decoder.decode(image, config));
    }
    const { pid } = process;
    await process.decode({ image: first ?? new Uint8Array(), config, maxPixels });
    expect(process.pid).toBe(pid);
    // Below what callers wait for.
    expect(getPriority(pid)).toBeGreaterThan(getPriority());
  });

  it('hands problems on as they are', async () => {
    const process = start();
    const image = (await picture()).slice(0, 50);
    await expect(process.decode({ image, config, maxPixels })).rejects.toMatchObject({
      code: 'undecodable-image',
    });
    const many = { image: await picture(), config, maxPixels: 10 };
    await expect(process.decode(many)).rejects.toMatchObject({
      code: 'too-many-pixels',
      details: { maxPixels: 10 },
    });
  });

  it.each([
    ['processor time', { cpuMs: 50, memoryBytes: 2 ** 40 }, /more than 0.05 s of a processor/],
    ['memory', { cpuMs: 60_000, memoryBytes: 2 ** 20 }, /more than 1 MiB of memory/],
  ])(
    'ends itself at a picture that takes more %s than it may; the next is decoded',
    async (_, limits, message) => {
      const process = start(limits);
      await expect(process.decode({ image: LARGE, config, maxPixels })).rejects.toMatchObject({
        code: 'undecodable-image',
        message: expect.stringMatching(message),
      });
      const roomy = start();
      expect(await roomy.decode({ image: await picture(), config, maxPixels })).toHaveLength(
        3 * config.imageSize ** 2,
      );
    },
  );

  it('is ended when nobody waits any more, in the middle of a picture, and started again for the next', async () => {
    const process = start();
    const caller = new AbortController();
    const gone = new Problem('client-closed-request', 'The caller went away.');
    const left = process.decode({ image: LARGE, config, maxPixels }, caller.signal);
    const { pid } = process;
    setTimeout(() => caller.abort(gone), 100);
    await expect(left).rejects.toBe(gone);
    await until(() => process.pid === undefined);
    if (existsSync('/proc')) await until(() => !existsSync(`/proc/${pid}`));
    await process.decode({ image: await picture(), config, maxPixels });
    expect(process.pid).not.toBe(pid);
  });

  it('may be killed: that picture fails, and no other', async () => {
    const decoding = start();
    const lost = decoding.decode({ image: LARGE, config, maxPixels });
    process.kill(decoding.pid ?? 0, 'SIGSEGV');
    await expect(lost).rejects.toMatchObject({
      code: 'undecodable-image',
      message: expect.stringMatching(/broke down/),
    });
    await decoding.decode({ image: await picture(), config, maxPixels });
  });
});

describe('what is refused from the first bytes', () => {
  const decoder = pictureDecoder();
  const refusal = (image: Uint8Array) => {
    try {
      return decoder.expect?.(image);
    } catch (error) {
      return (error as Problem).code; // all that it throws
    }
  };

  it('rows or columns beyond all measure, whatever the number of pixels', () => {
    expect(refusal(pngOfZeros({ width: 1, height: 49_999_999, depth: 1 }, 10))).toBe('too-many-pixels');
    expect(refusal(pngOfZeros({ width: 49_999_999, height: 1, depth: 1 }, 1))).toBe('too-many-pixels');
    expect(refusal(pngOfZeros({ width: 8000, height: 8000 }, 1))).toBe('too-many-pixels');
    expect(refusal(pngOfZeros({ width: 1, height: 100_000 }, 1))).toMatchObject({ apart: true });
  });

  it('what no magic number tells: SVG, HTML, HEIC', () => {
    const text = (content: string) => new TextEncoder().encode(content);
    expect(refusal(text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'))).toBe(
      'undecodable-image',
    );
    expect(refusal(text('<!doctype html>'))).toBe('undecodable-image');
    const heic = text('\0\0\0\x18ftypheic\0\0\0\0mif1heic');
    expect(() => decoder.expect?.(heic)).toThrow(/HEIC.*Export it as JPEG/);
  });

  it('a TIFF of more pages than anybody has', () => {
    const pages = (count: number) => {
      const file = Buffer.alloc(8 + count * 18);
      file.write('II*\0', 'latin1');
      file.writeUInt32LE(8, 4);
      for (let page = 0; page < count; page++) {
        const at = 8 + page * 18;
        file.writeUInt16LE(1, at);
        file.writeUInt16LE(256, at + 2);
        file.writeUInt16LE(3, at + 4);
        file.writeUInt32LE(1, at + 6);
        file.writeUInt16LE(9, at + 10);
        file.writeUInt32LE(page + 1 < count ? at + 18 : 0, at + 14);
      }
      return new Uint8Array(file);
    };
    expect(refusal(pages(65_000))).toBe('undecodable-image');
    expect(refusal(pages(900))).toMatchObject({ apart: false });
    // Pages that follow each other in a circle.
    const circle = pages(2);
    new DataView(circle.buffer).setUint32(8 + 18 + 14, 8, true);
    expect(refusal(circle)).toBe('undecodable-image');
  });

  it('costs are known from the header: formats, scans and passes tell', async () => {
    const ms = async (options: Parameters<typeof picture>[1]) =>
      decoder.expect?.(await picture('#448844', options))?.ms ?? 0;
    const size = { width: 400, height: 300 };
    const [jpeg, png, avif] = [
      await ms({ ...size, format: 'jpeg' }),
      await ms({ ...size, format: 'png' }),
      await ms({ ...size, format: 'avif' }),
    ];
    expect(png).toBeGreaterThan(jpeg);
    expect(avif).toBeGreaterThan(png);
    const flat = { width: 2000, height: 2000 };
    const plain = decoder.expect?.(pngOfZeros(flat))?.ms ?? 0;
    expect(decoder.expect?.(pngOfZeros({ ...flat, interlaced: true }))?.ms).toBeGreaterThan(1.5 * plain);
  });
});
