import { beforeEach, describe, expect, it } from 'vitest';
import { Origin } from '../../src/edge/origin.ts';
import { sending } from '../../src/edge/sending.ts';
import { edgeSettings } from '../../src/edge/settings.ts';
import { createGateway, type Gateway, gatewayLog } from '../../src/gateway/index.ts';
import { ModelRegistry, RateLimiter, Scheduler } from '../../src/serving/index.ts';
import { dataUri, picture } from '../support/pictures.ts';
import { loadSimulated, SimulatedClock, simulatedModel } from '../support/simulation.ts';

/** 10 and 40 ms. */
const LEVELS = [
  [0.25, 0.7, 10],
  [1, 1, 40],
] as const;
const TIERS = '{"tiers": {"free": {"default": true, "rateLimit": {"requests": 9, "windowSeconds": 60}}}}';

interface Line {
  readonly status: number;
  readonly code?: string;
  readonly forwarded?: string;
  readonly forwardedCode?: string;
  readonly level: string;
}

describe('a request that is answered elsewhere', () => {
  let clock: SimulatedClock;
  let app: Gateway;
  let received: Request[];
  let answer: () => Response;
  let lines: Line[];
  let gif: Uint8Array<ArrayBuffer>;

  beforeEach(async () => {
    clock = new SimulatedClock();
    const { model } = simulatedModel({ clock, levels: LEVELS });
    await loadSimulated(model, clock);
    const registry = new ModelRegistry();
    await registry.put(model);
    const settings = edgeSettings({ CONCERTINA_BODY_BYTES: '5000' }, TIERS);
    const scheduler = new Scheduler(settings.tiers, clock);
    lines = [];
    received = [];
    const log = gatewayLog('json', (line) => lines.push(JSON.parse(line) as Line)); // what the log writes
    const fetcher = {
      async fetch(request: Request) {
        received.push(request);
        return answer();
      },
    };
    const origin = new Origin({ address: 'http://native/{tier}', fetcher, now: () => clock.now() });
    app = createGateway({
      registry,
      scheduler,
      limiter: new RateLimiter(clock),
      decoder: { mediaTypes: ['image/png', 'image/gif'], decode: async () => Float32Array.of(1) },
      elsewhere: sending({ origin, scheduler, settings, clock, log }),
      clock,
      observers: [log.request],
      version: '0',
    });
    gif = await picture('#445566', { format: 'gif' });
  });

  const embed = async (body: Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
    await app.request('/v1/embed', {
      method: 'POST',
      body,
      headers: { 'Content-Type': 'image/gif', 'Content-Length': String(body.length), ...headers },
    });

  it('is logged with the answer that its caller got, and why it was sent on', async () => {
    answer = () => Response.json({ embedding: [1] }, { headers: { 'Compute-Applied': 'level=1' } });
    const response = await embed(gif, { 'X-Request-Id': 'gif', 'Compute-Budget': 'flops=0.5, deadline=900' });
    expect([response.status, await response.json()]).toEqual([200, { embedding: [1] }]);
    expect(response.headers.get('Compute-Applied')).toBe('level=1');
    expect(response.headers.get('RateLimit')).toMatch(/^"free";r=8/);
    expect(lines).toEqual([
      expect.objectContaining({ level: 'info', status: 200, forwarded: 'picture', requestId: 'gif' }),
    ]);
    expect(lines[0]).not.toHaveProperty('code');
    const [sent] = received;
    expect(sent?.url).toBe('http://native/free/v1/embed');
    expect(sent?.headers.get('Compute-Budget')).toBe('flops=0.5, deadline=900');
    expect(new Uint8Array((await sent?.arrayBuffer()) ?? [])).toEqual(gif);
  });

  it('is logged with the refusal of the other one', async () => {
    answer = () =>
      Response.json(
        { code: 'undecodable-image' },
        { status: 422, headers: { 'Content-Type': 'application/problem+json' } },
      );
    expect((await embed(gif)).status).toBe(422);
    expect(lines).toMatchObject([{ status: 422, forwarded: 'picture', forwardedCode: 'undecodable-image' }]);
  });

  it('is passed on as it comes, and counted, when its body is too large to be kept', async () => {
    answer = () => Response.json({ embedding: [1] });
    expect((await embed(new Uint8Array(5001), { 'Compute-Budget': 'latency=9' })).status).toBe(200);
    expect(lines).toMatchObject([{ status: 200, forwarded: 'size' }]);
    expect(received[0]?.headers.get('Compute-Budget')).toBe('latency=9');
    expect((await received[0]?.arrayBuffer())?.byteLength).toBe(5001);
  });

  it('is looked at inside JSON too', async () => {
    answer = () => Response.json({ data: [] });
    const body = JSON.stringify({ input: [dataUri(await picture()), dataUri(gif, 'image/gif')] });
    const headers = { 'Content-Type': 'application/json' };
    await app.request('/v1/embeddings', { method: 'POST', body, headers });
    expect(lines).toMatchObject([{ status: 200, forwarded: 'picture' }]);
    expect(await received[0]?.text()).toBe(body);
  });

  it('is answered here after all, with less, when nobody is there and the Worker has something to give', async () => {
    answer = () => new Response(null, { status: 503 });
    const answered = embed(await picture(), { 'Compute-Budget': 'latency=5' });
    await clock.run(1000);
    const response = await answered;
    expect(response.headers.get('Compute-Applied')).toContain('level=0');
    expect(received).toHaveLength(1);
    expect(lines).toMatchObject([{ event: 'note' }, { status: 200, levels: [0] }]);
    expect(lines[1]).not.toHaveProperty('forwarded');
  });

  it('is 502, and logged as that, when nobody is there who could answer it', async () => {
    answer = () => new Response(null, { status: 503 });
    const response = await embed(gif);
    expect(await response.json()).toMatchObject({ status: 502, code: 'origin-unavailable' });
    expect(lines).toMatchObject([{ level: 'error', status: 502, code: 'origin-unavailable' }]);
    expect(lines[0]).not.toHaveProperty('forwarded');
  });
});
