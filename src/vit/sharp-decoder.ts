import sharp, { type Metadata, type Sharp } from 'sharp';
import { Problem } from '../problem/index.ts';
import type { VitConfig } from './config.ts';
import type { DecodeOptions, ImageDecoder } from './image.ts';
import { cropGeometry, normalise } from './preprocess.ts';

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

export interface DecodedPicture {
  readonly width: number;
  readonly height: number;
  /** `[height, width, 3]` uint8 RGB, oriented. */
  readonly data: Uint8Array;
}

/**
 * Decodes with libvips. Orientation by EXIF, first frame of animations, alpha over white, greyscale and CMYK to sRGB,
 * 16 bits to 8.
 */
export function sharpDecoder(): ImageDecoder {
  return {
    mediaTypes: Object.values(FORMATS),
    async decode(image, config, options = {}) {
      const { pipeline, width, height } = await openImage(image, options);
      const crop = cropGeometry(config, width, height);
      const { data } = await finish(
        pipeline
          .resize(crop.resizeWidth, crop.resizeHeight, {
            fit: 'fill',
            kernel: kernel(config),
            fastShrinkOnLoad: false,
          })
          .extract({ left: crop.left, top: crop.top, width: crop.size, height: crop.size }),
      );
      return normalise(data, config, new Float32Array(3 * crop.size ** 2));
    },
  };
}

/** The whole picture at its own size (for random crops). */
export async function decodePicture(image: Uint8Array, options: DecodeOptions = {}): Promise<DecodedPicture> {
  const { pipeline } = await openImage(image, options);
  return await finish(pipeline);
}

/** Cuts a rectangle out of a picture and resizes it to the network's input. @returns `[3, size, size]`, normalised */
export async function cropPicture(
  picture: DecodedPicture,
  box: { readonly left: number; readonly top: number; readonly width: number; readonly height: number },
  config: VitConfig,
): Promise<Float32Array> {
  const raw = { width: picture.width, height: picture.height, channels: 3 as const };
  const { data } = await finish(
    sharp(picture.data, { raw })
      .extract(box)
      .resize(config.imageSize, config.imageSize, { fit: 'fill', kernel: kernel(config) }),
  );
  return normalise(data, config, new Float32Array(3 * config.imageSize ** 2));
}

async function openImage(image: Uint8Array, options: DecodeOptions) {
  options.signal?.throwIfAborted();
  const maxPixels = options.maxPixels ?? DEFAULT_MAX_PIXELS;
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
  if (width * pageHeight > maxPixels) {
    throw new Problem(
      'too-many-pixels',
      `The image has ${width} x ${pageHeight} pixels; at most ${maxPixels} are accepted. Scale it down first: the network looks at a few hundred pixels a side.`,
      { width, height: pageHeight, maxPixels },
    );
  }
  const turned = (metadata.orientation ?? 1) >= 5;
  const pipeline = sharp(image, {
    limitInputPixels: maxPixels,
    failOn: 'error',
    ...(pages > 1 ? { page: 0, pages: 1 } : {}),
  })
    .autoOrient()
    .flatten({ background: '#ffffff' })
    .toColourspace('srgb')
    .removeAlpha();
  return { pipeline, width: turned ? pageHeight : width, height: turned ? width : pageHeight };
}

async function finish(pipeline: Sharp): Promise<DecodedPicture> {
  try {
    const { data, info } = await pipeline.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
    if (info.channels === 3) return { width: info.width, height: info.height, data };
    const rgb = new Uint8Array(info.width * info.height * 3);
    for (let i = 0; i < rgb.length; i++)
      rgb[i] = data[Math.floor(i / 3) * info.channels + (info.channels < 3 ? 0 : i % 3)] ?? 0;
    return { width: info.width, height: info.height, data: rgb };
  } catch (cause) {
    throw undecodable(cause);
  }
}

function kernel(config: VitConfig): 'cubic' | 'linear' | 'lanczos3' {
  const kernels = { bicubic: 'cubic', bilinear: 'linear', lanczos: 'lanczos3' } as const;
  return kernels[config.preprocessing.interpolation];
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
