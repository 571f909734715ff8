import { ConcertinaError, errorFrom } from './error.ts';
import { budgetHeader, readApplied, readTiming } from './headers.ts';
import type { EmbeddedItem, Embedding, EmbedOptions, Model } from './types.ts';

export interface ClientOptions {
  /** Address of the gateway, without `/v1`. */
  readonly baseUrl: string;
  readonly apiKey?: string;
  /** @default the platform's */
  readonly fetch?: typeof globalThis.fetch;
  /** Further tries after 429, 503 and a connection that failed. @default 2 */
  readonly retries?: number;
}

/** Encoded image bytes, or a data URI or https URL. */
export type Image = Blob | ArrayBuffer | Uint8Array<ArrayBuffer> | string;

/** Nobody waits longer for a retry, whatever `Retry-After` says. */
const MAX_WAIT_MS = 30_000;

/**
 * Talks to a Concertina gateway; runs in browsers and on Node.
 * @example
 * const client = new ConcertinaClient({ baseUrl: 'http://127.0.0.1:8787' });
 * const { embedding, level } = await client.embed(file, { latency: 40 });
 */
export class ConcertinaClient {
  readonly #base: string;
  readonly #key: string | undefined;
  readonly #fetch: typeof globalThis.fetch;
  readonly #retries: number;

  constructor({ baseUrl, apiKey, fetch = globalThis.fetch, retries = 2 }: ClientOptions) {
    this.#base = baseUrl.replace(/\/+$/, '');
    this.#key = apiKey;
    this.#fetch = fetch.bind(globalThis);
    this.#retries = retries;
  }

  /** Embeds one image. @throws ConcertinaError, or the signal's reason */
  async embed(image: Image, options: EmbedOptions = {}): Promise<Embedding> {
    const text = typeof image === 'string';
    const { model, dimensions, normalize = true, signal } = options;
    const query = new URLSearchParams({ normalize: String(normalize) });
    if (model !== undefined) query.set('model', model);
    if (dimensions !== undefined) query.set('dimensions', String(dimensions));
    const response = text
      ? await this.#send(
          '/v1/embeddings',
          JSON.stringify(jsonBody([image], options)),
          'application/json',
          options,
        )
      : await this.#send(`/v1/embed?${query}`, image, 'application/octet-stream', options, signal);
    const embedding = text ? await first(response) : new Float32Array(await response.arrayBuffer());
    return {
      embedding,
      ...readApplied(response.headers.get('Compute-Applied') ?? ''),
      timing: readTiming(response.headers.get('Server-Timing') ?? ''),
      requestId: response.headers.get('X-Request-Id') ?? '',
    };
  }

  /** Embeds several images (data URIs, base64 or URLs) in one request; one that fails does not sink the others. */
  async embedMany(images: readonly string[], options: EmbedOptions = {}): Promise<EmbeddedItem[]> {
    const body = JSON.stringify(jsonBody(images, options));
    const response = await this.#send('/v1/embeddings', body, 'application/json', options);
    return (await items(response)).map(({ embedding, error, level = 0, flops = 0, fidelity = 0 }) =>
      error ? { error } : { embedding: decode(embedding), level, flops, fidelity },
    );
  }

  async models(): Promise<Model[]> {
    const response = await this.#send('/v1/models');
    return ((await response.json()) as { data: Model[] }).data; // the contract's shape
  }

  async model(id: string): Promise<Model> {
    const response = await this.#send(`/v1/models/${encodeURIComponent(id)}`);
    return (await response.json()) as Model; // the contract's shape
  }

  async #send(
    path: string,
    body?: BodyOf,
    type?: string,
    options: EmbedOptions = {},
    signal = options.signal,
  ): Promise<Response> {
    const budget = budgetHeader(options);
    const request = {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        ...(type !== undefined && { 'Content-Type': type }),
        ...(type === 'application/octet-stream' && { Accept: 'application/octet-stream' }),
        ...(budget !== '' && { 'Compute-Budget': budget }),
        ...(this.#key !== undefined && { Authorization: `Bearer ${this.#key}` }),
      },
      ...(body !== undefined && { body }),
      ...(signal && { signal }),
    };
    for (let attempt = 0; ; attempt++) {
      const last = attempt >= this.#retries;
      let response: Response;
      try {
        response = await this.#fetch(this.#base + path, request);
      } catch (error) {
        if (last || signal?.aborted) throw error;
        await pause(waitMs(undefined, attempt), signal);
        continue;
      }
      if (response.ok) return response;
      if (last || (response.status !== 429 && response.status !== 503)) throw await errorFrom(response);
      await response.body?.cancel();
      await pause(waitMs(response.headers.get('Retry-After'), attempt), signal);
    }
  }
}

type BodyOf = string | Exclude<Image, string>;

interface Item {
  readonly embedding: string;
  readonly level?: number;
  readonly flops?: number;
  readonly fidelity?: number;
  readonly error?: { readonly code: string; readonly message: string };
}

function jsonBody(input: readonly string[], { model, dimensions, normalize = true }: EmbedOptions) {
  return { input, encoding_format: 'base64', normalize, model, dimensions };
}

async function items(response: Response): Promise<Item[]> {
  return ((await response.json()) as { data: Item[] }).data; // the contract's shape
}

async function first(response: Response): Promise<Float32Array> {
  const [item] = await items(response);
  if (!item || item.error)
    throw new ConcertinaError(
      item?.error?.code ?? 'unknown',
      response.status,
      item?.error?.message ?? 'The answer is empty.',
    );
  return decode(item.embedding);
}

/** Base64 of little-endian float32. */
function decode(text: string): Float32Array {
  const binary = atob(text);
  const view = new DataView(new ArrayBuffer(binary.length));
  for (let i = 0; i < binary.length; i++) view.setUint8(i, binary.charCodeAt(i));
  return Float32Array.from({ length: binary.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

/** What the server asks for, or twice as long each time; up to a quarter longer, so that callers do not return together. */
function waitMs(retryAfter: string | null | undefined, attempt: number): number {
  const asked = Number(retryAfter ?? Number.NaN);
  const base = Number.isFinite(asked) ? asked * 1000 : 250 * 2 ** attempt;
  return Math.min(MAX_WAIT_MS, base * (1 + Math.random() / 4));
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((done, fail) => {
    const stop = () => {
      clearTimeout(timer);
      fail(signal?.reason);
    };
    if (signal?.aborted) return fail(signal.reason);
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      done();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}
