import decodeJpeg, { init as startJpeg } from '@jsquash/jpeg/decode.js';
import decodePng, { init as startPng } from '@jsquash/png/decode.js';
import decodeWebp, { init as startWebp } from '@jsquash/webp/decode.js';
import { Problem } from '../../problem/index.ts';
import type { ImageDecoder } from '../image.ts';
import { cropGeometry, normalise } from '../preprocess.ts';
import { resizePicture } from '../resampling.ts';
import { embeddedProfile } from './embedded-profile.ts';
import { readProfile, type ToSrgb } from './icc.ts';
import { type ImageHeader, readImageHeader } from './image-header.ts';
import { flatten, orient } from './orient.ts';

/** Compiled codecs: mozjpeg, Rust's `png`, libwebp. */
export interface CodecModules {
  /** `@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm` */
  readonly jpeg: object;
  /** `@jsquash/png/codec/pkg/squoosh_png_bg.wasm` */
  readonly png: object;
  /** `@jsquash/webp/codec/dec/webp_dec.wasm` */
  readonly webp: object;
}

/** Memory that decoding takes per pixel: RGBA inside the codec, a copy of it, RGB. */
export const BYTES_PER_PIXEL = 4 + 4 + 3;

type Codec = 'jpeg' | 'png' | 'webp';
type Decode = (bytes: ArrayBuffer) => Promise<Rgba>;
interface Rgba {
  readonly data: Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}

const DEFAULT_MAX_PIXELS = 50_000_000;
const MEDIA_TYPES = ['image/jpeg', 'image/png', 'image/webp'] as const;

/**
 * Decodes without Node: JPEG, PNG and still WebP, with this project's own resampling. Orientation by EXIF, alpha over white,
 * colour profiles of curves and a matrix to sRGB.
 * @throws Problem('unsupported-media-type') for pictures that the native gateway reads and this one does not
 */
export function wasmDecoder(modules: CodecModules): ImageDecoder {
  const decoders = lazyDecoders(modules);
  return {
    mediaTypes: MEDIA_TYPES,
    async decode(image, config, { maxPixels = DEFAULT_MAX_PIXELS, signal } = {}) {
      signal?.throwIfAborted();
      const { codec, header } = checkHeader(image, maxPixels);
      const toSrgb = await profileOf(image, codec);
      const stored = await run(decoders[codec], image);
      toSrgb?.(stored.data);
      const picture = orient(flatten(stored.data, stored.width, stored.height), header.orientation);
      const { resizeWidth, resizeHeight, left, top, size } = cropGeometry(
        config,
        picture.width,
        picture.height,
      );
      const square = { left, top, width: size, height: size };
      const target = { width: resizeWidth, height: resizeHeight };
      const { data } = resizePicture(picture, target, square, config.preprocessing.interpolation);
      return normalise(data, config, new Float32Array(3 * size ** 2));
    },
  };
}

/** Whether a picture is one that the native gateway decodes and {@link wasmDecoder} does not, by its header. */
export function needsNative(image: Uint8Array, maxPixels: number): boolean {
  const header = readImageHeader(image);
  return (
    header !== undefined && (unreadable(header) !== undefined || header.width * header.height > maxPixels)
  );
}

/** What kind of picture it is, if it is one that is not decoded here. */
function unreadable({ type, animated, components }: ImageHeader): string | undefined {
  if (animated) return 'animated WebP';
  if (components === 4) return 'CMYK JPEG';
  return isCodec(type) ? undefined : type;
}

const isCodec = (type: ImageHeader['type']): type is Codec =>
  type === 'jpeg' || type === 'png' || type === 'webp';

/** Codecs are instantiated at their first picture: each has a memory of its own. */
function lazyDecoders({ jpeg, png, webp }: CodecModules): Record<Codec, Decode> {
  const lazily = (start: () => Promise<unknown>, decode: Decode): Decode => {
    let started: Promise<unknown> | undefined;
    return async (bytes) => {
      started ??= start();
      await started;
      return await decode(bytes);
    };
  };
  return {
    jpeg: lazily(() => startJpeg(jpeg), decodeJpeg),
    png: lazily(() => startPng(png), decodePng),
    webp: lazily(() => startWebp(webp), decodeWebp),
  };
}

function checkHeader(image: Uint8Array, maxPixels: number): { codec: Codec; header: ImageHeader } {
  const header = readImageHeader(image);
  if (!header) throw undecodable('it is not a picture, or its header is damaged');
  const { type, width, height } = header;
  const what = unreadable(header);
  if (what !== undefined || !isCodec(type))
    throw new Problem(
      'unsupported-media-type',
      `Pictures of the type ${what ?? type} are not decoded here; send ${MEDIA_TYPES.join(', ')}.`,
      { mediaTypes: MEDIA_TYPES },
    );
  if (width * height > maxPixels)
    throw new Problem(
      'too-many-pixels',
      `The image has ${width} x ${height} pixels; at most ${maxPixels} are accepted. Scale it down first: the network looks at a few hundred pixels a side.`,
      { width, height, maxPixels },
    );
  if (header.truncated) throw undecodable('it ends too early');
  return { codec: type, header };
}

/**
 * How the colours become sRGB; `undefined` where there is no profile, or none that can be used.
 * @throws Problem('unsupported-media-type') for a profile of tables, which the native gateway applies
 */
async function profileOf(image: Uint8Array, codec: Codec): Promise<ToSrgb | undefined> {
  const profile = await embeddedProfile(image, codec);
  const toSrgb = profile ? readProfile(profile) : 'none';
  if (toSrgb !== 'tables') return toSrgb === 'none' ? undefined : toSrgb;
  throw new Problem(
    'unsupported-media-type',
    `The picture has a colour profile of tables, which is not applied here; save it as sRGB, or send ${MEDIA_TYPES.join(', ')} without it.`,
    { mediaTypes: MEDIA_TYPES },
  );
}

async function run(decode: Decode, image: Uint8Array): Promise<Rgba> {
  try {
    return await decode(new Uint8Array(image).buffer);
  } catch (cause) {
    throw undecodable(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function undecodable(reason: string, cause?: unknown): Problem {
  return new Problem(
    'undecodable-image',
    `The image cannot be decoded (${reason}). Send a whole JPEG, PNG or WebP.`,
    {},
    cause === undefined ? undefined : { cause },
  );
}
