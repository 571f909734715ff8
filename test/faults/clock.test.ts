import { describe, expect, it } from 'vitest';
import { OPEN_TIERS, parseTiers, RateLimiter, Scheduler } from '../../src/serving/index.ts';
import { loadSimulated, SimulatedClock, simulatedModel } from '../support/simulation.ts';

const LEVELS = [
  [0.25, 0.7, 10],
  [1, 1, 40],
] as const;
const term = (value: number) => ({ value, strict: false });

/** Promise: time that jumps or stands still costs fidelity or a deadline, never an answer, and it passes. */
describe('time that misbehaves', () => {
  it('a stalled event loop: what has expired is dropped, what has not is served, and levels recover', async () => {
    const clock = new SimulatedClock();
    const { model } = simulatedModel({ clock, levels: LEVELS });
    await loadSimulated(model, clock);
    const scheduler = new Scheduler(OPEN_TIERS, clock);
    const send = (budget: object) =>
      scheduler.embed({ model, pixels: Float32Array.of(0), budget, tier: 'open', arrived: clock.now() }).then(
        ({ plan }) => plan.level,
        (error: { code: string }) => error.code,
      );
    const before = [send({}), send({ deadline: term(200) }), send({ latency: term(150) })];
    // Nothing happens for a second; then everything that was due happens late.
    clock.stall(1000);
    await clock.run();
    expect(await Promise.all(before)).toEqual([1, 'deadline-exceeded', 0]);
    const after = send({});
    await clock.run();
    expect(await after).toBe(1);
  });

  it('a clock that jumps back: rates are kept, and no caller is locked out', () => {
    const clock = new SimulatedClock();
    const tiers = parseTiers({ tiers: { open: { rateLimit: { requests: 2, windowSeconds: 10 } } } });
    let offset = 0;
    const limiter = new RateLimiter({ now: () => clock.now() + offset, after: () => () => {} });
    limiter.take(tiers, 'open', 'a');
    offset = -1e9;
    limiter.take(tiers, 'open', 'a');
    expect(() => limiter.take(tiers, 'open', 'a')).toThrow(/Try again in 5 s/);
    offset += 5000;
    expect(limiter.take(tiers, 'open', 'a')).toMatchObject({ remaining: 0, limit: 2 });
  });
});
