import { env, SELF } from 'cloudflare:test';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { createKey } from '../../src/serving/index.ts';
import { applied, edgeWith, fillBucket, json, post, sampleImage } from './worker.ts';

let car: Uint8Array<ArrayBuffer>;
const native = inject('native');
const libvips = inject('libvips');
const top = native.length - 1;

beforeAll(async () => {
  await fillBucket();
  car = await sampleImage('car-1.jpg');
});

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]) =>
    x.reduce((sum, value, i) => sum + value * (y[i] ?? 0), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

/** A number that grows, once it has stopped. */
async function settled(read: () => Promise<number>): Promise<number> {
  for (let before = -1; ; ) {
    const now = await read();
    if (now === before) return now;
    before = now;
    await new Promise((done) => setTimeout(done, 1500));
  }
}

const embed = (headers: Record<string, string> = {}) =>
  SELF.fetch('http://worker/v1/embed?normalize=false', post(car, headers));

describe('the Worker that is deployed, on a checkpoint of concertina prune in R2', () => {
  it('answers its very first request, and several that come at once', async () => {
    const answers = await Promise.all([embed(), embed(), embed()]);
    for (const answer of answers) expect(answer.status, await answer.clone().text()).toBe(200);
    expect((await SELF.fetch('http://worker/readyz')).status).toBe(200);
  });

  it('gives what the native engine gives, at every level', async () => {
    await expect.poll(async () => (await embed({ 'Compute-Budget': `level=${top}` })).status).not.toBe(503);
    const edge = edgeWith({});
    const request = (level: number) =>
      edge('/v1/embed?normalize=false', post(car, { 'Compute-Budget': `level=${level}` }));
    await edge('/v1/embed', post(car));
    await expect.poll(async () => (await request(top)).text(), { timeout: 60_000 }).toContain('embedding');
    for (const [level, expected] of native.entries()) {
      const answer = await request(level);
      expect(applied(answer)).toMatchObject({
        level: `${level}`,
        'limited-by': level === top ? 'none' : 'level',
      });
      const { embedding } = await json<{ embedding: number[] }>(answer);
      expect(1 - cosine(embedding, expected), `level ${level}`).toBeLessThan(1e-6);
      const scale = Math.max(...expected.map(Math.abs));
      const furthest = Math.max(...embedding.map((value, i) => Math.abs(value - (expected[i] ?? 0))));
      expect(furthest / scale, `level ${level}`).toBeLessThan(1e-4);
      // libvips leaves out detail while it decodes; that is all that is between this answer and a native gateway's.
      expect(1 - cosine(embedding, libvips[level] ?? []), `level ${level}`).toBeLessThan(1e-3);
    }
  });

  it('keeps the ceiling of its tier, and FLOP budgets below it', async () => {
    const free = applied(await embed());
    expect(Number(free.flops)).toBeLessThanOrEqual(0.5);
    expect(free['limited-by']).toBe('tier');
    const less = applied(await embed({ 'Compute-Budget': 'flops=0.3' }));
    expect(Number(less.flops)).toBeLessThanOrEqual(0.3005);
  });

  it('answers OpenAI requests with PNG data too, and lists its models', async () => {
    const image = `data:image/jpeg;base64,${btoa(String.fromCharCode(...car))}`;
    const answer = await SELF.fetch('http://worker/v1/embeddings', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ model: 'sample', input: [image] }),
    });
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ object: 'list', data: [{ index: 0, object: 'embedding' }] });
    const models = await (await SELF.fetch('http://worker/v1/models')).json();
    expect(models).toMatchObject({ data: [{ id: 'sample' }] });
  });

  it('serves the playground with its policy, the sample images, the documents, and nothing outside', async () => {
    const page = await SELF.fetch('http://worker/');
    expect(page.headers.get('Content-Type')).toContain('text/html');
    expect(page.headers.get('Content-Security-Policy')).toContain("default-src 'none'");
    expect(await page.text()).toContain('Concertina');
    for (const path of ['/playground.js', '/samples/car-1.jpg', '/docs', '/openapi.json', '/livez'])
      expect((await SELF.fetch(`http://worker${path}`)).status, path).toBe(200);
    for (const path of [
      '/nothing',
      '/../sample-model/model.safetensors',
      '/samples/../sample-model/config.json',
    ])
      expect((await SELF.fetch(`http://worker${path}`)).status, path).toBe(404);
  });

  it('refuses what it cannot read with problems that say what to do', async () => {
    const cases = [
      [new Uint8Array([0x47, 0x49, 0x46, 0x38, 0x39, 0x61]), {}, 415, 'unsupported-media-type'],
      [car.slice(0, 400), {}, 422, 'undecodable-image'],
      [car, { 'Compute-Budget': 'latency=abc' }, 400, 'malformed-budget'],
      [car, { 'Compute-Budget': 'level=99' }, 422, 'budget-unsatisfiable'],
    ] as const;
    for (const [body, headers, status, code] of cases) {
      const answer = await SELF.fetch('http://worker/v1/embed', post(body, headers));
      expect(await answer.json()).toMatchObject({ status, code });
      expect(answer.headers.get('Content-Type')).toBe('application/problem+json');
    }
  });
});

describe('keys and rates', () => {
  it('asks for a key, refuses others, and knows whose it is', async () => {
    const { key, hash } = await createKey();
    const edge = edgeWith({ CONCERTINA_TIERS: JSON.stringify({ tiers: { gold: { keys: [hash] } } }) });
    expect(await (await edge('/v1/models')).json()).toMatchObject({ code: 'missing-key' });
    const wrong = await edge('/v1/models', { headers: { Authorization: 'Bearer ck_wrong' } });
    expect(await wrong.json()).toMatchObject({ code: 'unknown-key' });
    expect((await edge('/v1/models', { headers: { Authorization: `Bearer ${key}` } })).status).toBe(200);
  });

  it('counts with the binding what other isolates let through', async () => {
    const tiers = { free: { default: true, rateLimit: { requests: 60, windowSeconds: 60 } } };
    const keys: string[] = [];
    let left = 2;
    const RATE_FREE = {
      limit: async ({ key }: { key: string }) => {
        keys.push(key);
        return { success: left-- > 0 };
      },
    };
    const edge = edgeWith({ CONCERTINA_TIERS: JSON.stringify({ tiers }), RATE_FREE });
    const headers = { Authorization: 'Bearer secret' };
    expect((await edge('/v1/models', { headers })).headers.get('RateLimit')).toBe('"free";r=59;t=1');
    expect((await edge('/v1/models', { headers })).status).toBe(200);
    const refused = await edge('/v1/models', { headers });
    expect(refused.status).toBe(429);
    expect(refused.headers.get('Retry-After')).toBe('60');
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toMatch(/^[0-9a-f]{64}$/);
  });

  it('is stopped by the binding that is deployed, after the tier has had its share', async () => {
    const { limit } = env.RATE_FREE as { limit(options: { key: string }): Promise<{ success: boolean }> };
    const answers: boolean[] = [];
    for (let i = 0; i < 61; i++) answers.push((await limit.call(env.RATE_FREE, { key: 'somebody' })).success);
    expect(answers.filter(Boolean)).toHaveLength(60);
  });
});

describe('a Worker whose memory is short', () => {
  /** Enough for the program and a few levels of the sample model, as its manifest says. */
  const CONCERTINA_MEMORY_MB = '90';

  it('serves the levels that fit, and says that the host is the limit', async () => {
    const edge = edgeWith({ CONCERTINA_MEMORY_MB });
    await edge('/v1/embed', post(car));
    const loaded = await settled(async () => {
      const model = await json<{ ladder: { loaded: boolean }[] }>(edge('/v1/models/sample'));
      return model.ladder.filter((level) => level.loaded).length;
    });
    expect(loaded).toBeGreaterThan(0);
    expect(loaded).toBeLessThan(native.length);
    expect(applied(await edge('/v1/embed', post(car)))).toMatchObject({ 'limited-by': 'tier' });
    const beyond = await edge('/v1/embed', post(car, { 'Compute-Budget': `level=${top}` }));
    expect(await beyond.json()).toMatchObject({ code: 'budget-unsatisfiable' });
  });

  it('says so when no model fits at all', async () => {
    const edge = edgeWith({ CONCERTINA_MEMORY_MB: '78' });
    const answer = await edge('/v1/embed', post(car));
    expect(await answer.json()).toMatchObject({ code: 'unknown-checkpoint' });
  });
});

describe('a Worker with a native gateway behind it (a server on this machine)', () => {
  const origin = inject('origin');
  const recorded = () => json<Record<string, string>>(fetch(`${origin}/recorded`));

  it('keeps what it can answer', async () => {
    const edge = edgeWith({ CONCERTINA_ORIGIN: origin });
    const answer = await edge(
      '/v1/embed',
      post(car, { 'X-Request-Id': 'kept', 'Compute-Budget': 'level=0' }),
    );
    expect(answer.status).toBe(200);
    expect((await recorded())['x-request-id']).not.toBe('kept');
  });

  it('sends on levels that do not fit, with the key and what is left of the budget', async () => {
    const edge = edgeWith({ CONCERTINA_ORIGIN: `${origin}/tiers/{tier}`, CONCERTINA_MEMORY_MB: '90' });
    await edge('/v1/embed', post(car, { 'Compute-Budget': 'level=0' }));
    const answer = await edge(
      '/v1/embed?normalize=false',
      post(car, {
        'X-Request-Id': 'sent',
        'Compute-Budget': `level=${top}, deadline=9000, latency=8000`,
        Authorization: 'Bearer theirs',
      }),
    );
    const { embedding } = await json<{ embedding: number[] }>(answer);
    // The origin may answer in int8.
    expect(1 - cosine(embedding, libvips[top] ?? [])).toBeLessThan(1e-3);
    const headers = await recorded();
    expect(headers).toMatchObject({
      'x-request-id': 'sent',
      authorization: 'Bearer theirs',
      via: '1.1 concertina',
      path: '/tiers/free/v1/embed?normalize=false',
    });
    const budget = Object.fromEntries(
      (headers['compute-budget'] ?? '').split(', ').map((term) => term.split('=')),
    );
    expect(budget.level).toBe(`${top}`);
    for (const [name, asked] of [
      ['deadline', 9000],
      ['latency', 8000],
    ] as const) {
      expect(Number(budget[name])).toBeLessThanOrEqual(asked);
      expect(Number(budget[name])).toBeGreaterThan(asked - 5000);
    }
  });

  it('sends on targets that WebAssembly cannot meet, and pictures that it cannot decode', async () => {
    const edge = edgeWith({ CONCERTINA_ORIGIN: origin });
    await edge('/v1/embed', post(car, { 'Compute-Budget': 'level=0' }));
    await edge('/v1/embed', post(car, { 'X-Request-Id': 'quick', 'Compute-Budget': 'latency=0.5' }));
    expect((await recorded())['x-request-id']).toBe('quick');
    const gif = Uint8Array.from(atob('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7'), (letter) =>
      letter.charCodeAt(0),
    );
    const answer = await edge('/v1/embed', post(gif, { 'Content-Type': 'image/gif', 'X-Request-Id': 'gif' }));
    expect(answer.status).toBe(200);
    expect((await recorded())['x-request-id']).toBe('gif');
  });

  it('sends on bodies that are too large to be kept, as they come', async () => {
    const edge = edgeWith({ CONCERTINA_ORIGIN: origin, CONCERTINA_BODY_BYTES: '1000' });
    const answer = await edge(
      '/v1/embed',
      post(car, { 'X-Request-Id': 'large', 'Content-Length': `${car.length}` }),
    );
    expect(answer.status).toBe(200);
    expect((await recorded())['x-request-id']).toBe('large');
  });

  it('does its best when the origin is down, and says so where it can do nothing', async () => {
    const edge = edgeWith({ CONCERTINA_ORIGIN: 'http://127.0.0.1:9', CONCERTINA_MEMORY_MB: '90' });
    await edge('/v1/embed', post(car, { 'Compute-Budget': 'level=0' }));
    const answer = await edge('/v1/embed', post(car));
    expect(answer.status).toBe(200);
    expect(applied(answer)).toMatchObject({ 'limited-by': 'tier' });
    const none = edgeWith({ CONCERTINA_ORIGIN: 'http://127.0.0.1:9', CONCERTINA_MEMORY_MB: '78' });
    const refused = await none('/v1/embed', post(car));
    expect(await refused.json()).toMatchObject({ code: 'origin-unavailable', status: 502 });
  });
});

describe('the clock of a Worker stands still', () => {
  it('so that predictions come from the profile beside the checkpoint', async () => {
    const names: string[] = await (await env.FILES.fetch('http://files/files.json')).json();
    const folder = (names[0] ?? '').split('/').slice(0, 2).join('/');
    const entries = native.map((_, level) => ({
      level,
      precision: 'fp32',
      batch: 1,
      median: 100 + level,
      p95: 120,
    }));
    const profile = JSON.stringify({ version: 1, fingerprint: 'workers', entries });
    const key = `${folder}/profiles/workers.json`;
    await env.MODELS.put(key, new TextEncoder().encode(profile));
    const edge = edgeWith({});
    const first = await edge('/v1/embed', post(car, { 'Compute-Budget': 'level=0' }));
    expect(applied(first).predicted).toBe('100');
    const again = await edge('/v1/embed', post(car, { 'Compute-Budget': 'level=0' }));
    expect(applied(again).predicted).toBe('100');
    await env.MODELS.delete(key);
  });
});
