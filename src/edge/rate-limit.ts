import { Problem } from '../problem/index.ts';
import type { Limiter, RateState, Tiers } from '../serving/index.ts';
import { type EdgeBindings, isRateLimit } from './bindings.ts';

/** The binding that counts for a tier: `gold-plus` is `RATE_GOLD_PLUS`. */
export function rateBindingName(tier: string): string {
  return `RATE_${tier.toUpperCase().replaceAll('-', '_')}`;
}

/**
 * The rate limits of a Worker: the isolate's own bucket, which knows what is left, and the tier's binding, which counts for
 * all isolates of a location.
 */
export class EdgeLimiter implements Limiter {
  readonly #own: Limiter;
  readonly #bindings: EdgeBindings;

  constructor(own: Limiter, bindings: EdgeBindings) {
    this.#own = own;
    this.#bindings = bindings;
  }

  async take(tiers: Tiers, tier: string, caller: string): Promise<RateState | undefined> {
    const state = await this.#own.take(tiers, tier, caller);
    const binding = this.#bindings[rateBindingName(tier)];
    if (!state || !isRateLimit(binding)) return state;
    const { success } = await binding.limit({ key: await hashed(`${tier}\n${caller}`) });
    if (success) return state;
    const { limit, windowSeconds } = state;
    throw new Problem(
      'rate-limited',
      `The ${tier} tier takes ${limit} requests in ${windowSeconds} s from one caller. Try again in ${windowSeconds} s.`,
      { retryAfter: windowSeconds, limit, windowSeconds },
    );
  }
}

/** Keys of callers do not leave the isolate. */
async function hashed(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
