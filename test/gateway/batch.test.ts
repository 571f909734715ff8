import { beforeEach, describe, expect, it } from 'vitest';
import type { RequestRecord } from '../../src/gateway/index.ts';
import { OPEN_TIERS, parseTiers } from '../../src/serving/index.ts';
import { dataUri } from '../support/pictures.ts';
import { answersOf, type SimulatedGateway, settled, simulatedGateway } from '../support/simulated-gateway.ts';
import { SimulatedClock } from '../support/simulation.ts';

/** 10, 20, 40 ms; one worker. */
const LEVELS = [
  [0.25, 0.7, 10],
  [0.5, 0.9, 20],
  [1, 1, 40],
] as const;
const DECODE_MS = 5;
/** Pressure may take everything. */
const BENDING = parseTiers({ tiers: { open: { default: true, queue: 40, floor: { level: 0 } } } });

describe('the images of one request', () => {
  let clock: SimulatedClock;
  let gateway: SimulatedGateway;
  let records: RequestRecord[];

  beforeEach(async () => {
    clock = new SimulatedClock();
    records = [];
    const observers = [(record: RequestRecord) => void records.push(record)];
    gateway = await simulatedGateway(BENDING, { clock, levels: LEVELS }, { observers, decodeMs: DECODE_MS });
  });

  async function send(count: number, budget = '') {
    const began = clock.now();
    const response = await gateway.app.request('/v1/embeddings', {
      method: 'POST',
      body: JSON.stringify({
        input: Array.from({ length: count }, (_, i) => dataUri(Uint8Array.of(i))),
        error_policy: 'per_item',
      }),
      headers: { 'Content-Type': 'application/json', ...(budget && { 'Compute-Budget': budget }) },
    });
    const { data } = (await response.json()) as { data: { level?: number; error?: { code: string } }[] }; // the contract's shape
    const outcomes = data.map(({ level, error }) => error?.code ?? level);
    const timing = response.headers.get('Server-Timing') ?? '';
    const queue = Number(/queue;dur=([\d.]+)/.exec(timing)?.[1]);
    return { outcomes, took: clock.now() - began, queue };
  }
  const times = <T>(count: number, value: T) => Array<T>(count).fill(value);

  it('get the level that each of them would get alone, one after the other', async () => {
    const [batch] = await answersOf(clock, [send(32)]);
    expect(batch?.outcomes).toEqual(times(32, 2));
    // Decoded beside the engine, which does nothing else: 32 runs of 40 ms.
    expect(batch?.took).toBeGreaterThanOrEqual(32 * 40 + DECODE_MS);
    expect(batch?.took).toBeLessThan(32 * 40 + 3 * DECODE_MS);
    // The last one waited for all the others, and that is told.
    expect(batch?.queue).toBeGreaterThan(14 * 40);
  });

  it('have a latency target each, which the others do not use up; it is met when all meet it', async () => {
    const [alone] = await answersOf(clock, [send(1, 'latency=30')]);
    expect(alone?.outcomes).toEqual([1]);
    const [batch] = await answersOf(clock, [send(32, 'latency=30')]);
    expect(batch?.outcomes).toEqual(times(32, 1));
    const [strict] = await answersOf(clock, [send(20, 'latency=60;strict')]);
    expect(strict?.outcomes).toEqual(times(20, 2));
    const [late] = await answersOf(clock, [send(2, 'latency=12')]);
    expect(late?.outcomes).toEqual([0, 0]);
    expect(records.map(({ budgetMet }) => budgetMet)).toEqual([true, true, true, false]);
  });

  it('share one deadline: what comes after it is not computed', async () => {
    const [batch] = await answersOf(clock, [send(32, 'deadline=205, level=1')]);
    // 5 ms for the first picture, then ten of 20 ms.
    expect(batch?.outcomes).toEqual([...times(10, 1), ...times(22, 'deadline-exceeded')]);
  });

  it('do not fill the queue of their tier, and wait for their turn', async () => {
    const large = send(64);
    await settled(clock);
    await clock.run(100);
    expect(gateway.scheduler.load('open').waiting).toBeLessThanOrEqual(1);
    const others = Array.from({ length: 38 }, () => send(1));
    const [batch, ...rest] = await answersOf(clock, [large, ...others]);
    for (const { outcomes } of rest) expect(outcomes).not.toContain('tier-saturated');
    expect(batch?.outcomes).not.toContain('tier-saturated');
    // Those that came later were answered before the large request was halfway.
    expect(Math.max(...rest.map(({ took }) => took))).toBeLessThan((batch?.took ?? 0) / 2);
  });

  it('are offered no faster than their tier may run', async () => {
    const tiers = parseTiers({ tiers: { open: { default: true, concurrency: 2, floor: { level: 0 } } } });
    gateway = await simulatedGateway(tiers, { clock, levels: LEVELS, workers: 4 });
    const [batch] = await answersOf(clock, [send(16, 'latency=25')]);
    expect(batch?.outcomes).toEqual(times(16, 1));
  });
});

it('callers without a budget get 0.95 or better from a gateway without tiers, whatever others ask of it', async () => {
  const clock = new SimulatedClock();
  const { app } = await simulatedGateway(OPEN_TIERS, { clock, levels: LEVELS });
  const send = async (headers: Record<string, string>) => {
    const response = await app.request('/v1/embed', { method: 'POST', body: Uint8Array.of(1), headers });
    const { level } = (await response.json()) as { level: number }; // an embedding
    return level;
  };
  const crowd = Array.from({ length: 40 }, () => send({ 'Compute-Budget': 'latency=10' }));
  const unasked = Array.from({ length: 20 }, () => send({}));
  const levels = await answersOf(clock, [...unasked, ...crowd]);
  expect(levels.slice(0, 20)).toEqual(Array(20).fill(2));
  expect(Math.min(...levels.slice(20))).toBe(0);
});
