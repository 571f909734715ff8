import { beforeEach, describe, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { createKey, OPEN_TIERS, parseTiers, type Tiers } from '../../src/serving/index.ts';
import { answersOf, simulatedGateway } from '../support/simulated-gateway.ts';
import { SimulatedClock } from '../support/simulation.ts';

/** 10, 20, 40 ms. */
const LEVELS = [
  [0.25, 0.7, 10],
  [0.5, 0.9, 20],
  [1, 1, 40],
] as const;

let clock: SimulatedClock;
beforeEach(() => {
  clock = new SimulatedClock();
});
const gateway = async (tiers: Tiers) => (await simulatedGateway(tiers, { clock, levels: LEVELS })).app;

describe('a deadline', () => {
  /** Sends a picture whose upload takes so many ms; gives the status, the code and the level. */
  async function upload(app: Gateway, ms: number, budget: string) {
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        clock.stall(ms);
        controller.enqueue(Uint8Array.of(1));
        controller.close();
      },
    });
    const sent = app.request('/v1/embed', {
      method: 'POST',
      body,
      duplex: 'half',
      headers: { 'Content-Type': 'image/png', 'Compute-Budget': budget },
    } as RequestInit); // Fetch's own types lack `duplex`
    const [response = expect.fail('no answer')] = await answersOf(clock, [sent]);
    const { code, level } = (await response.json()) as { code?: string; level?: number }; // a problem, or an embedding
    return { status: response.status, code, level };
  }

  it('ages while the body is on its way: what is left decides the level', async () => {
    const app = await gateway(OPEN_TIERS);
    expect(await upload(app, 0, 'deadline=45')).toMatchObject({ status: 200, level: 2 });
    expect(await upload(app, 20, 'deadline=45')).toMatchObject({ status: 200, level: 1 });
    expect(await upload(app, 30, 'deadline=45')).toMatchObject({ status: 200, level: 0 });
    expect(await upload(app, 45, 'deadline=45')).toMatchObject({ status: 504, code: 'deadline-exceeded' });
    // 4 of the 45 ms are left, and the smallest level takes 10.
    expect(await upload(app, 41, 'deadline=45')).toMatchObject({ status: 503, code: 'overloaded' });
  });

  it('is all that ages: a latency target counts from when the body is complete', async () => {
    const app = await gateway(OPEN_TIERS);
    expect(await upload(app, 500, 'latency=45')).toMatchObject({ status: 200, level: 2 });
  });
});

describe('a refusal', () => {
  it('varies by the budget like any answer, whoever refuses, and can be read by other origins', async () => {
    const { key, hash } = await createKey();
    const app = await gateway(
      parseTiers({ tiers: { gold: { keys: [hash], rateLimit: { requests: 4, windowSeconds: 3600 } } } }),
    );
    const send = async (headers: Record<string, string>, path = '/v1/embed', body = 'x') =>
      await app.request(path, {
        method: 'POST',
        body,
        headers: { Origin: 'https://shop.example', ...headers },
      });
    const own = { Authorization: `Bearer ${key}`, 'Content-Type': 'image/png' };
    const refusals = [
      await send({}),
      await send({ Authorization: 'Bearer ck_wrong' }),
      await send({ ...own, 'Compute-Budget': 'flops=2' }),
      await send({ ...own, 'Compute-Budget': 'flops=0.01' }),
      await send({ ...own, 'Content-Type': 'text/csv' }),
      await send({ ...own, 'Content-Type': 'application/json' }, '/v1/embeddings', '{'),
      await send(own),
    ];
    expect(refusals.map(({ status }) => status)).toEqual([401, 403, 400, 422, 415, 400, 429]);
    for (const { headers } of refusals) {
      expect(headers.get('Vary')).toBe('Compute-Budget');
      expect(headers.get('Access-Control-Allow-Origin')).toBe('*');
    }
    expect(refusals.map(({ headers }) => headers.get('RateLimit')?.split(';')[1])).toEqual([
      undefined,
      undefined,
      'r=3',
      'r=2',
      'r=1',
      'r=0',
      'r=0',
    ]);
  });
});
