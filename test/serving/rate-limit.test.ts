import { beforeEach, describe, expect, it } from 'vitest';
import { isProblem } from '../../src/problem/index.ts';
import { parseTiers, RateLimiter } from '../../src/serving/index.ts';
import { SimulatedClock } from '../support/simulation.ts';

/** Four requests in two seconds: a new one every half second. */
const TIERS = parseTiers({
  tiers: {
    gold: { rateLimit: { requests: 4, windowSeconds: 2 } },
    slow: { rateLimit: { requests: 1, windowSeconds: 600 } },
    free: {},
  },
});

describe('the rate of a caller', () => {
  let clock: SimulatedClock;
  let limiter: RateLimiter;
  beforeEach(() => {
    clock = new SimulatedClock();
    limiter = new RateLimiter(clock);
  });

  const take = (tier = 'gold', caller = 'a') => {
    try {
      return limiter.take(TIERS, tier, caller);
    } catch (error) {
      if (isProblem(error, 'rate-limited')) return error.details;
      throw error;
    }
  };

  it('is a bucket that empties by requests and fills by time', () => {
    const state = { limit: 4, windowSeconds: 2 };
    // Half a second for each that is missing, in whole seconds.
    expect(take()).toEqual({ ...state, remaining: 3, resetSeconds: 1 });
    expect(take()).toEqual({ ...state, remaining: 2, resetSeconds: 1 });
    expect(take()).toEqual({ ...state, remaining: 1, resetSeconds: 2 });
    expect(take()).toEqual({ ...state, remaining: 0, resetSeconds: 2 });
    expect(take()).toEqual({ ...state, retryAfter: 1 });
    clock.stall(499);
    expect(take()).toMatchObject({ retryAfter: 1 });
    clock.stall(1);
    expect(take()).toEqual({ ...state, remaining: 0, resetSeconds: 2 });
    expect(take()).toMatchObject({ retryAfter: 1 });
  });

  it('holds no more than its limit, however long nobody asks', () => {
    take();
    clock.stall(3_600_000);
    expect(Array.from({ length: 5 }, () => take())).toMatchObject([
      { remaining: 3 },
      { remaining: 2 },
      { remaining: 1 },
      { remaining: 0 },
      { retryAfter: 1 },
    ]);
  });

  it('says when to come again, rounded up', () => {
    take('slow');
    expect(take('slow')).toMatchObject({ retryAfter: 600 });
    clock.stall(599_500);
    expect(take('slow')).toMatchObject({ retryAfter: 1 });
    clock.stall(500);
    expect(take('slow')).toMatchObject({ remaining: 0 });
  });

  it('is one for each caller and tier, and none where the tier has none', () => {
    for (let i = 0; i < 4; i++) take();
    expect(take()).toMatchObject({ retryAfter: 1 });
    expect(take('gold', 'b')).toMatchObject({ remaining: 3 });
    expect(take('slow', 'a')).toMatchObject({ remaining: 0 });
    expect(Array.from({ length: 9 }, () => take('free'))).toEqual(Array(9).fill(undefined));
    expect(take('gone')).toBeUndefined();
  });

  it('is not drained by a clock that is set back', () => {
    clock.stall(10_000);
    for (let i = 0; i < 3; i++) take();
    clock.stall(-5_000);
    expect(take()).toMatchObject({ remaining: 0 });
    // Time counts from where the clock is now.
    clock.stall(500);
    expect(take()).toMatchObject({ remaining: 0 });
  });

  it('is remembered for whoever has used some of it, among many who come and go', () => {
    for (let i = 0; i < 4; i++) take('gold', 'busy');
    for (let i = 0; i < 10_050; i++) take('gold', `passer-by ${i}`);
    expect(take('gold', 'busy')).toMatchObject({ retryAfter: 1 });
    clock.stall(500);
    expect(take('gold', 'busy')).toMatchObject({ remaining: 0 });
  });
});
