import { floatsOf, type Item, isItem, isModel, listOf, notOurs, rawFloats, readJson } from './answers.ts';
import { encodeBytes } from './base64.ts';
import { ConcertinaError } from './error.ts';
import { budgetHeader, readApplied, readTiming } from './headers.ts';
import { withRetries } from './retry.ts';
import type { EmbeddedItem, Embedding, EmbedOptions, Model } from './types.ts';

export interface ClientOptions {
  /** Address of the gateway, without `/v1`. */
  readonly baseUrl: string;
  readonly apiKey?: string;
  /** @default the platform's */
  readonly fetch?: typeof globalThis.fetch;
  /** For one try, ms; a request that takes longer fails with code `timeout`. 0: for ever. @default 60_000 */
  readonly timeoutMs?: number;
  /** Further tries after 429, 503 and a connection that failed. @default 2 */
  readonly retries?: number;
}

/** Encoded image bytes, or a data URI or https URL. */
export type Image = Blob | ArrayBuffer | Uint8Array<ArrayBuffer> | string;

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
  readonly #timeoutMs: number;
  /** Spaces of the answers so far, by model and dimensions. */
  readonly #spaces = new Map<string, string>();

  constructor({ baseUrl, apiKey, fetch = globalThis.fetch, retries = 2, timeoutMs = 60_000 }: ClientOptions) {
    this.#base = baseUrl.replace(/\/+$/, '');
    this.#key = apiKey;
    this.#fetch = fetch.bind(globalThis);
    this.#retries = retries;
    this.#timeoutMs = timeoutMs;
  }

  /** Embeds one image. @throws ConcertinaError, or the signal's reason */
  async embed(image: Image, options: EmbedOptions = {}): Promise<Embedding> {
    const text = typeof image === 'string';
    const response = text
      ? await this.#send('/v1/embeddings', jsonRequest([image], options), options)
      : await this.#send(`/v1/embed?${query(options)}`, bytesRequest(image), options);
    const embedding = text ? await first(response) : await rawFloats(response);
    const space = this.#spaceOf(response, options);
    return {
      embedding,
      space,
      ...readApplied(response.headers.get('Compute-Applied') ?? ''),
      timing: readTiming(response.headers.get('Server-Timing') ?? ''),
      requestId: response.headers.get('X-Request-Id') ?? '',
    };
  }

  /** Embeds several images in one request; one that fails does not sink the others. */
  async embedMany(images: readonly Image[], options: EmbedOptions = {}): Promise<EmbeddedItem[]> {
    const input = await Promise.all(images.map(asText));
    const response = await this.#send('/v1/embeddings', jsonRequest(input, options), options);
    const list = await items(response);
    const space = this.#spaceOf(response, options);
    return list.map(({ embedding, error, level = 0, flops = 0, fidelity = 0 }) =>
      error ? { error } : { embedding: floatsOf(embedding, response), space, level, flops, fidelity },
    );
  }

  async models(): Promise<Model[]> {
    const response = await this.#send('/v1/models');
    return await listOf<Model>(response, isModel);
  }

  async model(id: string): Promise<Model> {
    const response = await this.#send(`/v1/models/${encodeURIComponent(id)}`);
    const model = await readJson(response);
    if (!isModel(model)) throw notOurs(response, 'a model');
    return model;
  }

  /**
   * The space of an answer. A model that was replaced by another network under the same name embeds into another one, and
   * cosines between the two mean nothing.
   * @throws ConcertinaError('embedding-space-changed') when it is not the one asked for, or not that of the model's answers before
   */
  #spaceOf(response: Response, { model = '', dimensions, space: asked }: EmbedOptions): string {
    const space = response.headers.get('Embedding-Space') ?? '';
    const name = `${model}/${dimensions ?? 'all'}`;
    const expected = asked ?? this.#spaces.get(name) ?? space;
    if (space !== expected)
      throw new ConcertinaError(
        'embedding-space-changed',
        response.status,
        `The embedding lies in the space "${space}" and was to be compared in "${expected}": another network answers now. Embed the gallery again, and make a new client.`,
        { space, expected },
      );
    this.#spaces.set(name, space);
    return space;
  }

  async #send(path: string, { body, headers }: Sent = {}, options: EmbedOptions = {}): Promise<Response> {
    const { signal } = options;
    const budget = budgetHeader(options);
    const request = {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        ...headers,
        ...(budget !== '' && { 'Compute-Budget': budget }),
        ...(this.#key !== undefined && { Authorization: `Bearer ${this.#key}` }),
      },
      ...(body !== undefined && { body }),
    };
    const timeoutMs = this.#timeoutMs;
    const send = async () => {
      const timeout = timeoutMs > 0 ? AbortSignal.timeout(timeoutMs) : undefined;
      const signals = [signal, timeout].filter((one) => one !== undefined);
      try {
        return await this.#fetch(this.#base + path, {
          ...request,
          ...(signals.length > 0 && { signal: AbortSignal.any(signals) }),
        });
      } catch (cause) {
        if (signal?.aborted) throw cause;
        throw timeout?.aborted
          ? new ConcertinaError('timeout', 0, `${this.#base} did not answer within ${timeoutMs} ms.`)
          : new ConcertinaError('unreachable', 0, `${this.#base} cannot be reached: ${String(cause)}.`);
      }
    };
    return await withRetries(send, { retries: this.#retries, signal });
  }
}

interface Sent {
  readonly body?: Image;
  readonly headers?: Readonly<Record<string, string>>;
}

function bytesRequest(body: Exclude<Image, string>): Sent {
  const type = 'application/octet-stream';
  return { body, headers: { 'Content-Type': type, Accept: type } };
}

function jsonRequest(input: readonly string[], { model, dimensions, normalize = true }: EmbedOptions): Sent {
  return {
    body: JSON.stringify({
      input,
      encoding_format: 'base64',
      error_policy: 'per_item',
      normalize,
      model,
      dimensions,
    }),
    headers: { 'Content-Type': 'application/json' },
  };
}

function query({ model, dimensions, normalize = true }: EmbedOptions): URLSearchParams {
  const parameters = new URLSearchParams({ normalize: String(normalize) });
  if (model !== undefined) parameters.set('model', model);
  if (dimensions !== undefined) parameters.set('dimensions', String(dimensions));
  return parameters;
}

async function asText(image: Image): Promise<string> {
  if (typeof image === 'string') return image;
  if (image instanceof Blob) return encodeBytes(new Uint8Array(await image.arrayBuffer()));
  return encodeBytes(image instanceof ArrayBuffer ? new Uint8Array(image) : image);
}

async function items(response: Response): Promise<Item[]> {
  return await listOf<Item>(response, isItem);
}

async function first(response: Response): Promise<Float32Array> {
  const [item] = await items(response);
  if (!item || item.error)
    throw new ConcertinaError(
      item?.error?.code ?? 'unknown',
      response.status,
      item?.error?.message ?? 'The answer is empty.',
    );
  return floatsOf(item.embedding, response);
}
