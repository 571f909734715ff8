import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isProblem, Problem } from '../../problem/index.ts';
import type { Reporter } from '../../progress/index.ts';
import type { ImageDecoder, VitConfig } from '../../vit/index.ts';
import { decodePicture } from '../../vit/node.ts';
import type { CalibrationImages, ImageSet } from '../contracts.ts';
import { createRandom, shuffled } from './random.ts';

export interface CalibrationOptions {
  /** Folder of pictures; folders inside it are searched too. */
  readonly folder: string;
  readonly config: VitConfig;
  readonly decoder: ImageDecoder;
  /** Pictures wanted for fitting and for measuring; with fewer at hand both shrink in proportion. */
  readonly fit: number;
  readonly held: number;
  readonly seed: number;
  readonly report: Reporter;
  readonly signal?: AbortSignal | undefined;
}

export interface Calibration extends CalibrationImages {
  /** sha256 over the sorted names and contents of the pictures that are used. */
  readonly digest: string;
  readonly used: number;
  /** Files that look like pictures but could not be decoded. */
  readonly skipped: number;
}

/** A picture on disk that has been found readable. */
interface ReadableImage {
  readonly path: string;
  readonly sha256: string;
}

const EXTENSION = /\.(jpe?g|png|webp|avif|gif|tiff?)$/i;
/** Bytes of decoded network input that a set keeps, so that 50 evaluations do not decode every picture 50 times. */
const CACHE_BYTES = 384 * 2 ** 20;

/**
 * Chooses calibration photographs by the seed, leaves out and counts those that cannot be decoded, and splits them into
 * `fit` and `held`. The same folder and seed give the same split whatever the order of the directory.
 * @throws Problem('no-images') when fewer than two pictures can be read: one is needed to fit, another to measure
 */
export async function readCalibrationImages(options: CalibrationOptions): Promise<Calibration> {
  const names = await listPictures(options.folder);
  const chosen = shuffled(names, createRandom(options.seed, 'calibration split'));
  const wanted = options.fit + options.held;
  const readable: ReadableImage[] = [];
  let skipped = 0;
  const step = options.report.step('read images', Math.min(wanted, names.length));
  for (const name of chosen) {
    if (readable.length === wanted) break;
    options.signal?.throwIfAborted();
    const image = await tryReading(join(options.folder, name), name, options);
    if (image) readable.push(image);
    else skipped++;
    step.advance(readable.length);
  }
  step.end(skipped > 0 ? `${skipped} skipped` : undefined);
  if (readable.length < 2) throw tooFew(options.folder, names.length, readable.length, skipped);
  const held = heldCount(readable.length, options);
  return {
    held: imageSet(readable.slice(0, held), options),
    fit: imageSet(readable.slice(held), options),
    digest: digestOf(readable),
    used: readable.length,
    skipped,
  };
}

async function listPictures(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((cause: unknown) => {
    throw new Problem(
      'no-images',
      `The image folder ${folder} cannot be read. Give a folder of photographs with --images.`,
      { folder },
      { cause },
    );
  });
  return (
    entries
      // Data sets are often folders of links into a cache; a link that leads nowhere is skipped when it is read.
      .filter((entry) => (entry.isFile() || entry.isSymbolicLink()) && EXTENSION.test(entry.name))
      .map((entry) =>
        join(entry.parentPath, entry.name)
          .slice(folder.length)
          .replace(/^[\\/]+/, ''),
      )
      .sort()
  );
}

async function tryReading(
  path: string,
  name: string,
  { config, decoder, report, signal }: CalibrationOptions,
): Promise<ReadableImage | undefined> {
  const bytes = await readFile(path).catch(() => undefined);
  if (!bytes) {
    report.note(`skipped ${name}: the file cannot be opened.`);
    return undefined;
  }
  try {
    await decoder.decode(bytes, config, signal ? { signal } : {});
    return { path, sha256: createHash('sha256').update(name).update('\0').update(bytes).digest('hex') };
  } catch (error) {
    if (!isProblem(error) || error.code === 'aborted') throw error;
    report.note(`skipped ${name}: ${error.message}`);
    return undefined;
  }
}

function heldCount(usable: number, { fit, held }: CalibrationOptions): number {
  return Math.min(usable - 1, Math.max(1, Math.round((usable * held) / (fit + held))));
}

function tooFew(folder: string, found: number, usable: number, skipped: number): Problem {
  return new Problem(
    'no-images',
    `Pruning needs at least two readable pictures, one to fit and one to measure; ${folder} holds ${found}, of which ` +
      `${usable} can be read. Give a folder of photographs with --images.`,
    { folder, found, usable, skipped },
  );
}

function digestOf(images: readonly ReadableImage[]): string {
  const hash = createHash('sha256');
  for (const digest of images.map((image) => image.sha256).sort()) hash.update(digest);
  return hash.digest('hex');
}

function imageSet(images: readonly ReadableImage[], { config, decoder }: CalibrationOptions): ImageSet {
  const size = 3 * config.imageSize ** 2;
  const cache = new Map<number, Float32Array>();
  const capacity = Math.floor(CACHE_BYTES / (size * Float32Array.BYTES_PER_ELEMENT));

  async function pixelsOf(index: number): Promise<Float32Array> {
    const cached = cache.get(index);
    if (cached) return cached;
    const pixels = await decoder.decode(await bytesOf(images, index), config);
    if (cache.size < capacity) cache.set(index, pixels);
    return pixels;
  }
  return {
    count: images.length,
    async pixels(indices) {
      const joined = new Float32Array(indices.length * size);
      for (const [at, index] of indices.entries()) joined.set(await pixelsOf(index), at * size);
      return joined;
    },
    picture: async (index) => decodePicture(await bytesOf(images, index)),
  };
}

async function bytesOf(images: readonly ReadableImage[], index: number): Promise<Uint8Array> {
  const image = images[index];
  if (!image) throw new RangeError(`There is no calibration image ${index} of ${images.length}.`);
  return readFile(image.path);
}
