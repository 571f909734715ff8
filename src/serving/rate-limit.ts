import { Problem } from '../problem/index.ts';
import type { Clock } from './clock.ts';
import type { Tiers } from './tiers.ts';

export interface RateState {
  readonly limit: number;
  readonly windowSeconds: number;
  readonly remaining: number;
  /** Seconds until a request is possible again, or the bucket is full. */
  readonly resetSeconds: number;
}

/** Takes one request from a caller's rate; throws Problem('rate-limited') when there is none left. */
export interface Limiter {
  take(tiers: Tiers, tier: string, caller: string): RateState | undefined | Promise<RateState | undefined>;
}

/** A token bucket per tier and caller. */
export class RateLimiter implements Limiter {
  readonly #clock: Clock;
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Takes one request from the caller's bucket.
   * @returns the state afterwards; `undefined` when the tier has no limit
   * @throws Problem('rate-limited') with `retryAfter`, seconds
   */
  take(tiers: Tiers, tier: string, caller: string): RateState | undefined {
    const limit = tiers[tier]?.rateLimit;
    if (!limit) return undefined;
    const now = this.#clock.now();
    const perMs = limit.requests / (limit.windowSeconds * 1000);
    const id = `${tier}\n${caller}`;
    const bucket = this.#buckets.get(id) ?? { tokens: limit.requests, at: now };
    // A clock that jumps back must not drain the bucket.
    bucket.tokens = Math.min(limit.requests, bucket.tokens + Math.max(0, now - bucket.at) * perMs);
    bucket.at = now;
    if (bucket.tokens < 1) {
      const retryAfter = Math.max(1, Math.ceil((1 - bucket.tokens) / perMs / 1000));
      this.#buckets.set(id, bucket);
      throw new Problem(
        'rate-limited',
        `The ${tier} tier takes ${limit.requests} requests in ${limit.windowSeconds} s from one caller. Try again in ${retryAfter} s.`,
        { retryAfter, limit: limit.requests, windowSeconds: limit.windowSeconds },
      );
    }
    bucket.tokens -= 1;
    this.#buckets.set(id, bucket);
    if (this.#buckets.size > 10_000) this.#forgetFull(tiers, now);
    return {
      limit: limit.requests,
      windowSeconds: limit.windowSeconds,
      remaining: Math.floor(bucket.tokens),
      resetSeconds: Math.ceil((limit.requests - bucket.tokens) / perMs / 1000),
    };
  }

  /** Buckets that have filled up again say nothing. */
  #forgetFull(tiers: Tiers, now: number): void {
    for (const [id, bucket] of this.#buckets) {
      const limit = tiers[id.split('\n')[0] ?? '']?.rateLimit;
      if (
        !limit ||
        bucket.tokens + ((now - bucket.at) * limit.requests) / (limit.windowSeconds * 1000) >= limit.requests
      ) {
        this.#buckets.delete(id);
      }
    }
  }
}
