import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silent } from '../../../src/progress/index.ts';
import { readCalibrationImages } from '../../../src/pruning/data/calibration-images.ts';
import { sharpDecoder } from '../../../src/vit/node.ts';
import { tinyConfig } from '../../support/tiny-vit.ts';

const config = tinyConfig();
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'calibration-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A picture of one colour: its first pixel tells which one it is. */
async function addPicture(name: string, shade: number): Promise<void> {
  const background = { r: shade, g: shade, b: shade };
  await writeFile(
    join(folder, name),
    await sharp({ create: { width: 30, height: 20, channels: 3, background } })
      .png()
      .toBuffer(),
  );
}

async function addPictures(count: number): Promise<void> {
  for (let index = 0; index < count; index++) await addPicture(`p${index}.png`, index * 10);
}

function read(options: { fit?: number; held?: number; seed?: number } = {}) {
  const notes: string[] = [];
  const report = { ...silent, note: (message: string) => notes.push(message) };
  return readCalibrationImages({
    folder,
    config,
    decoder: sharpDecoder(),
    fit: 6,
    held: 2,
    seed: 1,
    report,
    ...options,
  }).then((images) => ({ ...images, notes }));
}

/** Which pictures a set holds, by their shade. */
async function shades(set: { count: number; picture(index: number): Promise<{ data: Uint8Array }> }) {
  const found: number[] = [];
  for (let index = 0; index < set.count; index++) found.push((await set.picture(index)).data[0] ?? -1);
  return found;
}

describe('calibration images', () => {
  it('are split by the seed, no picture in both parts', async () => {
    await addPictures(12);
    const images = await read();
    const [fit, held] = [await shades(images.fit), await shades(images.held)];
    expect([fit.length, held.length]).toEqual([6, 2]);
    expect(new Set([...fit, ...held]).size).toBe(8);
    expect(await shades((await read()).fit)).toEqual(fit);
    expect(await shades((await read({ seed: 2 })).fit)).not.toEqual(fit);
  });

  it('hold the same pictures back however many are fitted on, and fit on the same ones first', async () => {
    await addPictures(12);
    const [fewer, more] = [await read(), await read({ fit: 9 })];
    expect(await shades(more.held)).toEqual(await shades(fewer.held));
    expect((await shades(more.fit)).slice(0, 6)).toEqual(await shades(fewer.fit));
    expect(more.fit.count).toBe(9);
  });

  it('are found in folders inside the folder', async () => {
    await mkdir(join(folder, 'a'));
    await addPicture('a/x.png', 5);
    await addPicture('y.png', 6);
    expect((await read()).used).toBe(2);
  });

  it('shrink in proportion when there are fewer than wanted, and leave at least one to measure', async () => {
    await addPictures(4);
    const images = await read();
    expect([images.fit.count, images.held.count]).toEqual([3, 1]);
    const few = await read({ fit: 1000, held: 1 });
    expect([few.fit.count, few.held.count]).toEqual([3, 1]);
  });

  it('skip, count and name corrupt files; other files are not looked at', async () => {
    await addPictures(3);
    const good = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#135' } })
      .jpeg()
      .toBuffer();
    await writeFile(join(folder, 'cut.jpg'), good.subarray(0, good.length / 2));
    await writeFile(join(folder, 'empty.jpg'), '');
    await writeFile(join(folder, 'text.png'), 'no picture');
    await writeFile(join(folder, 'notes.txt'), 'no picture either');
    const images = await read();
    expect([images.used, images.skipped]).toEqual([3, 3]);
    expect(images.notes.map((note) => /^skipped (\S+):/.exec(note)?.[1]).sort()).toEqual([
      'cut.jpg',
      'empty.jpg',
      'text.png',
    ]);
  });

  it.each([0, 1])('with %i readable pictures are a clear problem', async (count) => {
    await addPictures(count);
    await writeFile(join(folder, 'broken.jpg'), 'x');
    await expect(read()).rejects.toMatchObject({
      code: 'no-images',
      details: { usable: count, skipped: 1, found: count + 1 },
    });
  });

  it('of a folder that is not there are a clear problem', async () => {
    await rm(folder, { recursive: true });
    await expect(read()).rejects.toMatchObject({ code: 'no-images' });
  });

  it('have a digest of names and contents', async () => {
    await addPictures(3);
    const before = (await read()).digest;
    expect((await read({ seed: 9 })).digest).toBe(before);
    await addPicture('p1.png', 99);
    expect((await read()).digest).not.toBe(before);
  });

  it('give normalised pixels in the asked order, from the cache as from the disk', async () => {
    await addPictures(8);
    const { fit } = await read();
    const size = 3 * config.imageSize ** 2;
    const wanted = (await shades(fit)).map((shade) => shade / 127.5 - 1);
    for (const order of [[2, 0], [0, 1, 2], [1]]) {
      const pixels = await fit.pixels(order);
      for (const [at, index] of order.entries()) expect(pixels[at * size]).toBeCloseTo(wanted[index] ?? 9, 5);
    }
  });
});
