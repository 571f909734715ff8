import sharp, { type Metadata, type Sharp } from 'sharp';
import { Problem } from '../problem/index.ts';
import type { VitConfig } from './config.ts';
import type { DecodeOptions, ImageDecoder } from './image.ts';
import { inksOverWhite, threeChannels } from './kernels/pixels.ts';
import { readPictureHeader } from './picture-header.ts';
import { gifFrame, onWhite } from './picture-layout.ts';
import { cropGeometry, normalise } from './preprocess.ts';
import { type Box, type Picture, resizePicture } from './resampling.ts';
import { orient } from './web/orient.ts';

const DEFAULT_MAX_PIXELS = 50_000_000;
/** Formats of the HTTP contract, as sharp calls them. */
const FORMATS: Readonly<Record<string, string>> = {
  jpeg: 'image/jpeg',
  png: 'image/png',
  webp: 'image/webp',
  heif: 'image/avif',
  gif: 'image/gif',
  tiff: 'image/tiff',
};

// Pictures are decoded once each: libvips' cache of operations would only hold memory.
sharp.cache(false);

/** A decoded picture, oriented. */
export type DecodedPicture = Picture;

export interface SharpDecoderOptions {
  /**
   * `exact`: as Pillow resizes, from every pixel; for what is measured or compared with other implementations. `fast`: from
   * twice the wanted size on blocks of pixels are averaged first, and a JPEG of at least four times the wanted size is
   * decoded at a half, a quarter or an eighth of its own by leaving out high frequencies of its cosine transform, so that at
   * least twice the wanted size is left for the filter. Pixels then differ by less than 1.1 levels of 255 in the mean, and
   * embeddings by a cosine of at least 0.998 (`bench/results/decode.md`). Below twice the size: the same bits.
   * @default 'exact'
   */
  readonly accuracy?: 'exact' | 'fast';
}

/**
 * Decodes with libvips. Orientation by EXIF, first frame of animations, alpha over white, greyscale and CMYK to RGB,
 * 16 bits to 8.
 */
export function sharpDecoder({ accuracy = 'exact' }: SharpDecoderOptions = {}): ImageDecoder {
  return {
    mediaTypes: Object.values(FORMATS),
    async decode(image, config, options = {}) {
      const opened = await openImage(image, options);
      const { pipeline, width, height, reduced } = opened;
      const crop = cropGeometry(config, width, height);
      const square = { left: crop.left, top: crop.top, width: crop.size, height: crop.size };
      const target = { width: crop.resizeWidth, height: crop.resizeHeight };
      const larger = enlarges({ width, height }, target);
      if (reduced) {
        if (larger) throw tooLarge(width, height);
        const { data } = cut(await finishReduced(opened, target, config), square);
        return normalise(data, config, new Float32Array(3 * crop.size ** 2));
      }
      const here = larger || (accuracy === 'exact' && halves({ width, height }, target));
      const resized = here
        ? resizePicture(await finish(pipeline), target, square, config.preprocessing.interpolation)
        : await finish(shrink(pipeline, target, config).extract(square));
      return normalise(resized.data, config, new Float32Array(3 * crop.size ** 2));
    },
  };
}

/** The whole picture at its own size, a very large JPEG at a quarter of its sides (for random crops). */
export async function decodePicture(image: Uint8Array, options: DecodeOptions = {}): Promise<DecodedPicture> {
  const opened = await openImage(image, options);
  if (!opened.reduced) return await finish(opened.pipeline);
  const quarter = (side: number) => Math.max(1, Math.round(side / 4));
  return await finishReduced(opened, { width: quarter(opened.width), height: quarter(opened.height) });
}

/** Cuts a rectangle out of a picture and resizes it to the network's input. @returns `[3, size, size]`, normalised */
export async function cropPicture(
  picture: DecodedPicture,
  box: Box,
  config: VitConfig,
): Promise<Float32Array> {
  const raw = { width: picture.width, height: picture.height, channels: 3 as const };
  const target = { width: config.imageSize, height: config.imageSize };
  const { data } = enlarges(box, target)
    ? resizePicture(
        cut(picture, box),
        target,
        { left: 0, top: 0, ...target },
        config.preprocessing.interpolation,
      )
    : await finish(shrink(sharp(picture.data, { raw }).extract(box), target, config));
  return normalise(data, config, new Float32Array(3 * config.imageSize ** 2));
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** libvips enlarges with a shift of half a pixel; where a side grows, pictures are resampled here instead. */
function enlarges(from: Size, to: Size): boolean {
  return to.width > from.width || to.height > from.height;
}

/** From twice the size on libvips averages blocks of pixels before it applies the filter, where Pillow widens the filter. */
function halves(from: Size, to: Size): boolean {
  return from.width >= 2 * to.width || from.height >= 2 * to.height;
}

function shrink(pipeline: Sharp, { width, height }: Size, config: VitConfig): Sharp {
  const kernels = { bicubic: 'cubic', bilinear: 'linear', lanczos: 'lanczos3' } as const;
  const kernel = kernels[config.preprocessing.interpolation];
  return pipeline.resize(width, height, { fit: 'fill', kernel, fastShrinkOnLoad: false });
}

function cut(picture: Picture, box: Box): Picture {
  const data = new Uint8Array(box.width * box.height * 3);
  for (let y = 0; y < box.height; y++) {
    const from = ((box.top + y) * picture.width + box.left) * 3;
    data.set(picture.data.subarray(from, from + box.width * 3), y * box.width * 3);
  }
  return { width: box.width, height: box.height, data };
}

/** A picture and its size once it is upright. */
interface Opened extends Size {
  readonly pipeline: Sharp;
  /** More pixels than are decoded whole: the pipeline must be shrunk, and has not been turned. */
  readonly reduced: boolean;
  /** EXIF orientation, 1 to 8. */
  readonly orientation: number;
}

/** Shrinks while it decodes, then turns what is left: libvips would hold the whole picture to turn it first. */
async function finishReduced(
  { pipeline, orientation }: Opened,
  { width, height }: Size,
  config?: VitConfig,
): Promise<Picture> {
  const stored = orientation >= 5 ? { width: height, height: width } : { width, height };
  const small = config
    ? shrink(pipeline, stored, config)
    : pipeline.resize(stored.width, stored.height, { fit: 'fill', fastShrinkOnLoad: false });
  return orient(await finish(small), orientation);
}

async function openImage(image: Uint8Array, options: DecodeOptions): Promise<Opened> {
  options.signal?.throwIfAborted();
  const maxPixels = options.maxPixels ?? DEFAULT_MAX_PIXELS;
  // By the first bytes, before any library sees the file.
  const { reduced = false } = readPictureHeader(image, maxPixels);
  let metadata: Metadata;
  try {
    metadata = await sharp(image, { limitInputPixels: false, failOn: 'error' }).metadata();
  } catch (cause) {
    throw undecodable(cause);
  }
  const { width, height, format } = metadata;
  if (!(format in FORMATS)) {
    throw new Problem(
      'undecodable-image',
      `Images of type ${format} are not accepted; send ${Object.values(FORMATS).join(', ')}.`,
    );
  }
  const pages = metadata.pages ?? 1;
  const pageHeight = metadata.pageHeight ?? height;
  if (width * pageHeight > maxPixels && !reduced) throw tooLarge(width, pageHeight, maxPixels);
  const { orientation = 1 } = metadata;
  const turned = orientation >= 5;
  const stored = sharp(image, {
    limitInputPixels: reduced ? false : maxPixels,
    failOn: 'error',
    ...(pages > 1 ? { page: 0, pages: 1 } : {}),
  });
  return {
    pipeline: await asRgb(reduced ? stored : stored.autoOrient(), image, metadata, {
      width,
      height: pageHeight,
    }),
    width: turned ? pageHeight : width,
    height: turned ? width : pageHeight,
    reduced,
    orientation,
  };
}

/** Colours over white, as sRGB. */
async function asRgb(oriented: Sharp, image: Uint8Array, metadata: Metadata, canvas: Size): Promise<Sharp> {
  if (metadata.space === 'cmyk' && !metadata.hasProfile) return await fromInks(oriented);
  // libvips applies a profile to 16 bits only where it is asked to work in sRGB.
  const converted =
    metadata.depth === 'ushort' && metadata.hasProfile ? oriented.pipelineColourspace('srgb') : oriented;
  const flat = converted.flatten({ background: '#ffffff' }).toColourspace('srgb').removeAlpha();
  return metadata.format === 'gif' ? await fromFrame(flat, image, canvas) : flat;
}

/** libvips leaves black what a first frame does not cover; it is background, and over white. */
async function fromFrame(flat: Sharp, image: Uint8Array, canvas: Size): Promise<Sharp> {
  const frame = gifFrame(image);
  const [right, bottom] = frame ? [frame.left + frame.width, frame.top + frame.height] : [0, 0];
  const covers =
    frame && frame.left === 0 && frame.top === 0 && right >= canvas.width && bottom >= canvas.height;
  if (!frame || covers) return flat;
  const width = Math.min(right, canvas.width) - frame.left;
  const height = Math.min(bottom, canvas.height) - frame.top;
  const nothing = width <= 0 || height <= 0;
  const data = nothing
    ? new Uint8Array(canvas.width * canvas.height * 3).fill(255)
    : onWhite(await finish(flat.extract({ left: frame.left, top: frame.top, width, height })), canvas, frame);
  return sharp(data, { raw: { ...canvas, channels: 3 } });
}

function tooLarge(width: number, height: number, maxPixels?: number): Problem {
  return new Problem(
    'too-many-pixels',
    `The image has ${width} x ${height} pixels; ${maxPixels === undefined ? 'so many are read at a reduced scale only, and the network looks at more rows or columns than it has' : `at most ${maxPixels} are accepted`}. Scale it down first: the network looks at a few hundred pixels a side.`,
    { width, height, ...(maxPixels !== undefined && { maxPixels }) },
  );
}

/**
 * CMYK without a profile, as Pillow reads it: `(1 - ink) (1 - black)`. libvips would assume a printing press, and
 * networks have seen such pictures through Pillow.
 */
async function fromInks(pipeline: Sharp): Promise<Sharp> {
  const inks = await output(pipeline.pipelineColourspace('cmyk').toColourspace('cmyk'));
  const { width, height } = inks;
  const data = inksOverWhite(inks.data, inks.channels, width * height);
  return sharp(data, { raw: { width, height, channels: 3 } });
}

async function finish(pipeline: Sharp): Promise<DecodedPicture> {
  const { width, height, channels, data } = await output(pipeline);
  if (channels === 3) return { width, height, data };
  return { width, height, data: threeChannels(data, channels, width * height) };
}

async function output(pipeline: Sharp): Promise<Size & { channels: number; data: Uint8Array }> {
  try {
    const { data, info } = await pipeline.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, channels: info.channels, data };
  } catch (cause) {
    throw undecodable(cause);
  }
}

function undecodable(cause: unknown): Problem {
  const reason = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : 'unknown';
  return new Problem(
    'undecodable-image',
    `The image cannot be decoded (${reason}). Send a whole JPEG, PNG, WebP, AVIF, GIF or TIFF.`,
    {},
    { cause },
  );
}
