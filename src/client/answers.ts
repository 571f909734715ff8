import { decodeFloats, readFloats } from './base64.ts';
import { ConcertinaError } from './error.ts';
import type { Model } from './types.ts';

/** One entry of an embeddings answer. */
export interface Item {
  readonly embedding: string;
  readonly level?: number;
  readonly flops?: number;
  readonly fidelity?: number;
  readonly error?: { readonly code: string; readonly message: string };
}

/** What answered is no gateway of ours: a proxy's page, or another program on that port. */
export function notOurs(response: Response, what: string): ConcertinaError {
  const type = response.headers.get('Content-Type') ?? 'no type';
  return new ConcertinaError(
    'unknown',
    response.status,
    `The server answered ${response.status} with ${type}, which is not ${what}. Is the address that of a Concertina gateway?`,
  );
}

/** Embeddings as bytes. @throws ConcertinaError for anything else */
export async function rawFloats(response: Response): Promise<Float32Array> {
  const type = response.headers.get('Content-Type') ?? '';
  const bytes = /^application\/octet-stream\b/i.test(type) ? await response.arrayBuffer() : undefined;
  if (!bytes || bytes.byteLength === 0 || bytes.byteLength % 4 !== 0) throw notOurs(response, 'an embedding');
  return readFloats(bytes);
}

/** An embedding as base64. @throws ConcertinaError for text that is none */
export function floatsOf(text: string, response: Response): Float32Array {
  try {
    const floats = decodeFloats(text);
    if (floats.length > 0) return floats;
  } catch {
    // Not base64, or not whole numbers.
  }
  throw notOurs(response, 'an embedding');
}

/** @throws ConcertinaError for what is not JSON */
export async function readJson(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    throw notOurs(response, 'JSON');
  }
}

/** Member `data` of an answer, a list. @throws ConcertinaError where it is none */
export async function listOf<T>(response: Response, is: (value: unknown) => value is T): Promise<T[]> {
  const body = await readJson(response);
  const list: unknown = isObject(body) ? body.data : undefined;
  if (!Array.isArray(list) || !list.every(is)) throw notOurs(response, 'the list that was asked for');
  return list;
}

export const isItem = (value: unknown): value is Item =>
  isObject(value) && (typeof value.embedding === 'string' || isObject(value.error));

export const isModel = (value: unknown): value is Model =>
  isObject(value) && typeof value.id === 'string' && Array.isArray(value.ladder);

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;
