import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ModelResponse } from '../../src/gateway/index.ts';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { dataUri, picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';
import { busyConfig } from '../support/tiny-vit.ts';
import { until } from '../support/until.ts';

const QUEUE = 16;

/** What a caller is told under load, and what the operator sees of it. */
describe('under load', () => {
  let server: RunningServer;
  let image: Uint8Array<ArrayBuffer>;

  beforeAll(async () => {
    const config = join(await mkdtemp(join(tmpdir(), 'concertina-')), 'tiers.json');
    await writeFile(config, JSON.stringify({ tiers: { open: { default: true, queue: QUEUE } } }));
    const store = await tinyStore({ config: busyConfig(8) });
    server = await startServer({ store, port: 0, workers: 1, config });
    await server.loaded();
    image = await picture('#123456', { width: 64, height: 64 });
  });
  afterAll(() => server.close());

  const send = async (budget = '') => {
    const response = await fetch(`${server.url}/v1/embed`, {
      method: 'POST',
      body: image,
      headers: { 'Content-Type': 'image/png', ...(budget && { 'Compute-Budget': budget }) },
    });
    const { code = 'embedded' } = (await response.json()) as { code?: string }; // problem details, or an embedding
    const limitedBy = /limited-by=([a-z]+)/.exec(response.headers.get('Compute-Applied') ?? '')?.[1];
    return { status: response.status, code, retryAfter: response.headers.get('Retry-After'), limitedBy };
  };
  /** The sum of a metric over all label values that match. */
  const metric = async (name: string, labels = '') => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    const found = text.matchAll(new RegExp(`^concertina_${name}\\{[^}]*${labels}[^}]*\\} (\\d+)$`, 'gm'));
    return [...found].reduce((sum, [, count]) => sum + Number(count), 0);
  };
  /** What the quickest level takes in its quickest arithmetic, ms. */
  const floorMs = async () => {
    const model = (await (await fetch(`${server.url}/v1/models/tiny`)).json()) as ModelResponse;
    const times = model.ladder.flatMap(({ precisions }) => Object.values(precisions));
    return Math.min(...times.map(({ predicted_ms = Number.NaN }) => predicted_ms));
  };
  /** Keeps the only worker at the full network, and the queue nearly full, with images that are due before any other. */
  const occupy = async () => {
    const over = fetch(`${server.url}/v1/embeddings`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Compute-Budget': 'level=2, latency=0.1' },
      body: JSON.stringify({ input: Array(60).fill(dataUri(image)) }),
    });
    await until(async () => (await metric('waiting')) === QUEUE - 1);
    return { over };
  };

  it('fidelity goes first: answers say that pressure took it, and the metrics count them', async () => {
    const before = await metric('degradations_total');
    const answers = await Promise.all(Array.from({ length: QUEUE }, () => send()));
    for (const { status } of answers) expect(status).toBe(200);
    const pressed = answers.filter(({ limitedBy }) => limitedBy === 'pressure').length;
    expect(pressed).toBeGreaterThan(0);
    expect((await metric('degradations_total', 'tier="open"')) - before).toBe(pressed);
    expect(await metric('images_total', 'limited_by="pressure"')).toBe(pressed);
  });

  it('what cannot be met is refused at once with 503, and when to try again', async () => {
    const before = await metric('sheds_total', 'code="overloaded"');
    const limit = ((QUEUE / 2) * (await floorMs())).toFixed(2);
    const { over } = await occupy();
    // Half of what those before it take even at the floor. Where decoding alone takes that long, it is no question of load.
    const hopeless = {
      strict: /^(503 overloaded|422 budget-unsatisfiable)$/,
      deadline: /^(503 overloaded|504 deadline-exceeded)$/,
    };
    let overloaded = 0;
    for (let i = 0; i < 5; i++)
      for (const [budget, refusal] of [
        [`latency=${limit};strict`, hopeless.strict],
        [`deadline=${limit}`, hopeless.deadline],
      ] as const) {
        const { status, code, retryAfter } = await send(budget);
        expect(`${status} ${code}`).toMatch(refusal);
        if (code !== 'overloaded') continue;
        expect(retryAfter).toBe('1');
        overloaded++;
      }
    expect(overloaded).toBeGreaterThan(0);
    expect((await metric('sheds_total', 'code="overloaded"')) - before).toBe(overloaded);
    // A deadline that has passed when the body is there needs no load at all.
    const late = await metric('sheds_total', 'code="deadline-exceeded"');
    expect(await send('deadline=0.001')).toMatchObject({ status: 504, code: 'deadline-exceeded' });
    expect((await metric('sheds_total', 'code="deadline-exceeded"')) - late).toBe(1);
    expect((await over).status).toBe(200);
  });

  it('a full queue is 429, and when to try again', async () => {
    const before = await metric('sheds_total', 'code="tier-saturated"');
    const { over } = await occupy();
    const answers = await Promise.all(Array.from({ length: QUEUE }, () => send()));
    const refused = answers.filter(({ status }) => status !== 200);
    expect(refused.length).toBeGreaterThan(0);
    for (const answer of refused)
      expect(answer).toMatchObject({ status: 429, code: 'tier-saturated', retryAfter: '1' });
    // The images of the large request compete for the same places.
    const own = (await (await over).text()).includes('tier-saturated') ? 1 : 0;
    expect((await metric('sheds_total', 'code="tier-saturated"')) - before).toBe(refused.length + own);
  });
});
