import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { startServer } from '../../src/host/index.ts';
import { OPEN_TIERS, parseTiers, RateLimiter, Scheduler } from '../../src/serving/index.ts';
import { embedAt } from '../support/embed-at.ts';
import { picture } from '../support/pictures.ts';
import { loadSimulated, SimulatedClock, simulatedModel } from '../support/simulation.ts';
import { tinyStore } from '../support/tiny-store.ts';

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
      scheduler
        .embed({
          model,
          pixels: Float32Array.of(0),
          budget,
          tier: 'open',
          firstByte: clock.now(),
          bodyComplete: clock.now(),
        })
        .then(
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

  it('a wall clock that is set while requests run: no deadline passes, no rate changes, nothing is refused', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'concertina-'));
    const config = join(folder, 'tiers.json');
    const rateLimit = { requests: 12, windowSeconds: 3600 };
    await writeFile(config, JSON.stringify({ tiers: { open: { default: true, rateLimit } } }));
    const server = await startServer({ store: await tinyStore(), port: 0, workers: 1, config });
    const image = await picture();
    const day = 86_400_000;
    try {
      await server.loaded();
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
      for (const jump of [day, -2 * day, 400 * day, -400 * day]) {
        const waiting = Array.from({ length: 3 }, () =>
          embedAt(server, image, { 'Compute-Budget': 'deadline=20000, latency=20000;strict' }),
        );
        vi.setSystemTime(Date.now() + jump);
        for (const answer of await Promise.all(waiting))
          expect(answer).toMatchObject({ status: 200, level: 2 });
      }
      // Twelve in an hour were allowed: days by the wall clock have given no thirteenth.
      expect(await embedAt(server, image)).toMatchObject({ status: 429, code: 'rate-limited' });
    } finally {
      vi.useRealTimers();
      await server.close();
    }
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
