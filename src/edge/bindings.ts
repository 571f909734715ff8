import type { R2Binding } from '../storage/index.ts';

/** What this Worker uses of Cloudflare's bindings; their own types have these shapes. */
export interface EdgeBindings {
  /** Bucket of the checkpoints. */
  readonly MODELS: R2Binding;
  /** Files of the playground. */
  readonly ASSETS?: Fetcher;
  /** A native gateway inside Cloudflare (a Container, another Worker); instead of one by address. */
  readonly ORIGIN?: Fetcher;
  /** Variables, secrets, and the rate limits: `RATE_` and the tier's name. */
  readonly [name: string]: unknown;
}

export interface Fetcher {
  fetch(request: Request): Promise<Response>;
}

/** Counts what all isolates of a location let through. */
export interface RateLimitBinding {
  limit(options: { readonly key: string }): Promise<{ readonly success: boolean }>;
}

/** What lets work go on after the answer has been given. */
export interface EdgeContext {
  waitUntil(work: Promise<unknown>): void;
}

export function isFetcher(value: unknown): value is Fetcher {
  return hasMethod(value, 'fetch');
}

export function isRateLimit(value: unknown): value is RateLimitBinding {
  return hasMethod(value, 'limit');
}

/** Bindings are proxies to other processes: they have no own properties, but their methods are there. */
function hasMethod(value: unknown, name: string): boolean {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, name) === 'function';
}
