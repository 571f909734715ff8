import { Problem } from '../problem/index.ts';
import type { FetchImage } from './options.ts';

/** An image as a request brings it: encoded bytes, or text that stands for them. */
export type ImageItem = Uint8Array | string;

/** Bytes of an encoded image, and how long it took to get them. */
export interface ImageInput {
  readonly bytes: Uint8Array;
  readonly fetchMs: number;
}

/**
 * The bytes of an item. Text is a data URI, bare base64, or an https URL where fetching is switched on.
 * @throws Problem('malformed-body'), ('url-not-allowed'), ('unsupported-media-type'), ('image-fetch-failed')
 */
export async function openImage(
  item: ImageItem,
  fetchImage: FetchImage | undefined,
  signal: AbortSignal,
): Promise<ImageInput> {
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
  if (/^data:/i.test(text)) return { bytes: fromDataUri(text), fetchMs: 0 };
  return { bytes: fromBase64(text), fetchMs: 0 };
}

function fromDataUri(text: string): Uint8Array {
  const comma = text.indexOf(',');
  const head = text.slice(5, Math.max(comma, 0));
  if (comma < 0 || !/;base64$/i.test(head))
    throw new Problem(
      'malformed-body',
      'A data URI looks like "data:image/jpeg;base64,…"; this one has no base64 data.',
    );
  if (!/^image\//i.test(head))
    throw new Problem(
      'unsupported-media-type',
      `A data URI of type "${head.replace(/;.*/, '').slice(0, 50)}" is not an image.`,
    );
  return fromBase64(text.slice(comma + 1));
}

function fromBase64(text: string): Uint8Array {
  // MIME breaks base64 into lines; blanks between words mean that it is text.
  const compact = /[\r\n]/.test(text) ? text.replace(/[\r\n]+/g, '') : text;
  if (compact === '') throw new Problem('undecodable-image', 'The image is empty.');
  // Word of what was sent, because callers of text models send text.
  const alphabet = /^[A-Za-z0-9+/_-]+={0,2}$/;
  if (!alphabet.test(compact) || compact.replace(/=+$/, '').length % 4 === 1)
    throw new Problem(
      'malformed-body',
      `The input is neither a data URI nor base64: "${text.slice(0, 24)}…". This model embeds images, not text.`,
    );
  return decodeBase64(compact.replaceAll('-', '+').replaceAll('_', '/'));
}

function decodeBase64(text: string): Uint8Array {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** Little-endian float32 as base64. */
export function encodeBase64(vector: Float32Array): string {
  const bytes = littleEndian(vector);
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
