import { beforeEach, describe, expect, it } from 'vitest';
import { prometheusMetrics } from '../../src/host/prometheus.ts';
import { parseTiers } from '../../src/serving/index.ts';
import { answersOf, type SimulatedGateway, settled, simulatedGateway } from '../support/simulated-gateway.ts';
import { SimulatedClock } from '../support/simulation.ts';

const QUEUE = 16;
/** 10, 20, 40 ms. */
const LEVELS = [
  [0.25, 0.7, 10],
  [0.5, 0.9, 20],
  [1, 1, 40],
] as const;
const TIERS = parseTiers({ tiers: { open: { default: true, queue: QUEUE, floor: { level: 0 } } } });

/** What a caller is told under load, and what the operator sees of it, in simulated time. */
describe('under load', () => {
  let clock: SimulatedClock;
  let gateway: SimulatedGateway;
  let render: () => Promise<{ readonly body: string }>;

  beforeEach(async () => {
    clock = new SimulatedClock();
    const observers: ((record: Parameters<ReturnType<typeof prometheusMetrics>['observe']>[0]) => void)[] =
      [];
    gateway = await simulatedGateway(TIERS, { clock, levels: LEVELS }, { observers });
    const metrics = prometheusMetrics(gateway.scheduler, gateway.registry);
    observers.push(metrics.observe);
    render = metrics.render;
  });

  const send = async (budget = '') => {
    const began = clock.now();
    const response = await gateway.app.request('/v1/embed', {
      method: 'POST',
      body: Uint8Array.of(1),
      headers: { 'Content-Type': 'image/png', ...(budget && { 'Compute-Budget': budget }) },
    });
    // The answer is made; to read it takes the test's own time.
    const took = clock.now() - began;
    const { code = 'embedded', level } = (await response.json()) as { code?: string; level?: number }; // a problem, or an embedding
    const limitedBy = /limited-by=([a-z]+)/.exec(response.headers.get('Compute-Applied') ?? '')?.[1];
    return {
      status: response.status,
      code,
      retryAfter: response.headers.get('Retry-After'),
      limitedBy,
      level,
      took,
    };
  };
  /** The sum of a metric over all label values that match. */
  const metric = async (name: string, labels = '') => {
    const { body } = await render();
    const found = body.matchAll(new RegExp(`^concertina_${name}\\{[^}]*${labels}[^}]*\\} (\\d+)$`, 'gm'));
    return [...found].reduce((sum, [, count]) => sum + Number(count), 0);
  };

  it('fidelity goes first: answers say that pressure took it, and the metrics count them', async () => {
    const answers = await answersOf(
      clock,
      Array.from({ length: QUEUE }, () => send()),
    );
    for (const { status } of answers) expect(status).toBe(200);
    const pressed = answers.filter(({ limitedBy }) => limitedBy === 'pressure').length;
    // The first finds an idle machine; the last ones find the queue drained again.
    expect(answers[0]).toMatchObject({ level: 2, limitedBy: 'none' });
    expect(answers.at(-1)).toMatchObject({ level: 2, limitedBy: 'none' });
    expect(pressed).toBeGreaterThan(QUEUE / 2);
    expect(await metric('degradations_total', 'tier="open"')).toBe(pressed);
    expect(await metric('images_total', 'limited_by="pressure"')).toBe(pressed);
    expect(await metric('images_total')).toBe(QUEUE);
  });

  it('what cannot be met is refused at once with 503, and when to try again', async () => {
    const busy = Array.from({ length: QUEUE - 1 }, () => send('level=2, latency=0.1'));
    await settled(clock);
    const [strict, deadline, ...over] = await answersOf(clock, [
      send('latency=80;strict'),
      send('deadline=80'),
      ...busy,
    ]);
    // Behind 16 others, even if all of them ran at the floor.
    for (const refused of [strict, deadline])
      expect(refused).toMatchObject({ status: 503, code: 'overloaded', retryAfter: '1', took: 0 });
    expect(await metric('sheds_total', 'code="overloaded"')).toBe(2);
    for (const { status, level } of over) expect({ status, level }).toEqual({ status: 200, level: 2 });
  });

  it('a full queue is 429, and when to try again', async () => {
    const answers = await answersOf(
      clock,
      Array.from({ length: 2 * QUEUE }, () => send()),
    );
    const refused = answers.filter(({ status }) => status !== 200);
    // One runs, and a queue of others waits.
    expect(refused).toHaveLength(QUEUE - 1);
    for (const answer of refused)
      expect(answer).toMatchObject({ status: 429, code: 'tier-saturated', retryAfter: '1', took: 0 });
    expect(await metric('sheds_total', 'code="tier-saturated"')).toBe(QUEUE - 1);
  });
});
