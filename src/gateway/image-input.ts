import { Problem } from '../problem/index.ts';
import { imageType, SIGNATURE_BYTES } from './image-type.ts';
import type { FetchImage } from './options.ts';

/** An image as a request brings it: encoded bytes, a text that stands for them, or what is wrong with it already. */
export type ImageItem = Uint8Array | string | Problem;

/** Bytes of an encoded image, and how long it took to get them. */
export interface ImageInput {
  readonly bytes: Uint8Array;
  readonly fetchMs: number;
}

/**
 * A string of `input`: a data URI, a URL, or base64 that starts like a picture. Whatever else it is, it is text, which stays
 * text however much it looks like base64: `"fish"` does.
 */
export function imageOrText(text: string): ImageItem {
  if (/^(data|https?):/i.test(text)) return text;
  return startsLikePicture(text) ? text : textNotSupported(text);
}

export function textNotSupported(text: string): Problem {
  const begin = text.length > 24 ? `${text.slice(0, 24)}…` : text;
  return new Problem(
    'text-not-supported',
    `This model embeds images, and "${begin}" is text. Send a data URI ("data:image/jpeg;base64,…"), or base64 of a picture.`,
  );
}

function startsLikePicture(text: string): boolean {
  const head = compact(text.slice(0, 3 * SIGNATURE_BYTES)).slice(0, 4 * Math.ceil(SIGNATURE_BYTES / 3));
  if (!/^[A-Za-z0-9+/]{4,}={0,2}$/.test(head)) return false;
  return imageType(decodeBase64(head.slice(0, head.length - (head.length % 4)))) !== undefined;
}

/** MIME breaks base64 into lines, and there is an alphabet for URLs. */
function compact(text: string): string {
  const joined = /[\r\n]/.test(text) ? text.replace(/[\r\n]+/g, '') : text;
  return joined.replaceAll('-', '+').replaceAll('_', '/');
}

/**
 * The bytes of an item. Text is a data URI, bare base64, or an https URL where fetching is switched on. What the bytes are is
 * told by the bytes: the media type of a data URI is not looked at.
 * @throws Problem('malformed-body'), ('url-not-allowed'), ('undecodable-image'), ('image-fetch-failed'), and what it is itself
 */
export async function openImage(
  item: ImageItem,
  fetchImage: FetchImage | undefined,
  signal: AbortSignal,
): Promise<ImageInput> {
  if (item instanceof Problem) throw item;
  if (typeof item !== 'string') return { bytes: item, fetchMs: 0 };
  const text = item;
  if (/^https?:/i.test(text)) {
    if (!fetchImage)
      throw new Problem(
        'url-not-allowed',
        'This gateway does not fetch URLs. Send the image itself, as a data URI or base64.',
      );
    const began = performance.now();
    const bytes = await fetchImage(text, signal);
    return { bytes, fetchMs: performance.now() - began };
  }
  return { bytes: fromBase64(/^data:/i.test(text) ? dataOf(text) : text), fetchMs: 0 };
}

/** The base64 of a data URI. */
function dataOf(text: string): string {
  const comma = text.indexOf(',');
  if (comma < 0 || !/;\s*base64$/i.test(text.slice(5, comma)))
    throw new Problem(
      'malformed-body',
      'A data URI looks like "data:image/jpeg;base64,…"; this one has no base64 data.',
    );
  return text.slice(comma + 1);
}

function fromBase64(text: string): Uint8Array {
  const base64 = compact(text);
  if (base64 === '') throw new Problem('undecodable-image', 'The image is empty.');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64) || base64.replace(/=+$/, '').length % 4 === 1)
    throw new Problem(
      'undecodable-image',
      'The image is not base64: it has other letters, or its end is missing.',
    );
  return decodeBase64(base64);
}

/** @throws Problem('unsupported-media-type') for pictures that nothing here decodes, by what they are called */
export function checkType(bytes: Uint8Array, mediaTypes: readonly string[]): void {
  const type = imageType(bytes);
  if (type === undefined || mediaTypes.includes(type)) return;
  const name = type.slice(type.indexOf('/') + 1).toUpperCase();
  const advice =
    type === 'image/heic' ? ' (iPhones make them; their setting "Most Compatible" makes JPEG)' : '';
  throw new Problem(
    'unsupported-media-type',
    `${name} pictures${advice} are not decoded here. Send ${mediaTypes.join(', ')}.`,
    { mediaType: type, mediaTypes },
  );
}

function decodeBase64(text: string): Uint8Array {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** Bytes as base64. */
export function encodeBytes(bytes: Uint8Array): string {
  let binary = '';
  for (let at = 0; at < bytes.length; at += 8192)
    binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(binary);
}

/** The numbers for JSON, with the nine digits that tell every float32 apart and no more. */
export function decimals(vector: Float32Array): number[] {
  return Array.from(vector, (value) => Number(value.toPrecision(9)));
}

/** The bytes of the numbers, little-endian on every machine. */
export function littleEndian(vector: Float32Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4 * vector.length);
  const view = new DataView(bytes.buffer);
  vector.forEach((value, i) => {
    view.setFloat32(4 * i, value, true);
  });
  return bytes;
}
