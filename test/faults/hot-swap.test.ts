import { describe, expect, it } from 'vitest';
import { gatewayLog, startServer } from '../../src/host/index.ts';
import { memoryStore, type ObjectStore } from '../../src/storage/index.ts';
import { picture } from '../support/pictures.ts';
import { publishTiny } from '../support/tiny-store.ts';
import { until } from '../support/until.ts';

interface Embedded {
  readonly embedding: number[];
}

/** Promise: a new version takes over without one failed request, and a broken one changes nothing. */
describe('a new version in the store', () => {
  it('takes over while requests run; a damaged one leaves the old one serving', async () => {
    const store = memoryStore();
    await publishTiny(store, {}, 1);
    const notes: string[] = [];
    const log = { ...gatewayLog('none', () => {}), note: (message: string) => void notes.push(message) };
    const server = await startServer({ store, port: 0, workers: 1, pollMs: 50, log });
    const image = await picture();
    const embed = async () => {
      const response = await fetch(`${server.url}/v1/embed`, {
        method: 'POST',
        body: image,
        headers: { 'Content-Type': 'image/png' },
      });
      expect(response.status).toBe(200);
      return JSON.stringify(((await response.json()) as Embedded).embedding); // the contract's shape
    };
    try {
      await server.loaded();
      const old = await embed();
      let running = true;
      const seen = new Set<string>();
      const load = Array.from({ length: 4 }, async () => {
        while (running) seen.add(await embed());
      });
      await publishTiny(store, {}, 2);
      await until(() => seen.size === 2);
      running = false;
      await Promise.all(load);
      const current = await embed();
      expect(current).not.toBe(old);
      // The versions differ in their weights only, and no request got anything in between.
      expect(seen).toEqual(new Set([old, current]));

      // Damaged before the pointer moves to it, so that the gateway never sees it whole.
      const other = memoryStore();
      const { digest } = await publishTiny(other, {}, 3);
      for await (const { key } of other.list(`tiny/${digest}/`)) {
        const { body } = await other.get(key);
        if (key.endsWith('weights.safetensors')) body[body.length - 1] = (body.at(-1) ?? 0) ^ 1;
        await store.put(key, body);
      }
      await store.put('tiny/latest.json', (await other.get('tiny/latest.json')).body);
      await until(() => notes.some((note) => note.includes('corrupt-checkpoint')));
      expect(await embed()).toBe(current);
    } finally {
      await server.close();
    }
  });

  it.each([
    ['published while another one is being loaded wins', 3],
    ['taken back while it is being loaded is never served', 1],
  ])('%s, under load', async (_, last) => {
    const origin = memoryStore();
    const digests = new Map<number, string>();
    for (const seed of [2, 3, 1]) digests.set(seed, (await publishTiny(origin, {}, seed)).digest);
    const pointTo = (seed: number) =>
      origin.put('tiny/latest.json', new TextEncoder().encode(JSON.stringify({ digest: digests.get(seed) })));
    const { store, held, release } = slowFor(origin, digests.get(2) ?? '');
    const server = await startServer({ store, port: 0, workers: 1, pollMs: 20 });
    const image = await picture();
    const embed = async (url = server.url) => {
      const response = await fetch(`${url}/v1/embed`, {
        method: 'POST',
        body: image,
        headers: { 'Content-Type': 'image/png' },
      });
      expect(response.status).toBe(200);
      return JSON.stringify(((await response.json()) as Embedded).embedding); // the contract's shape
    };
    try {
      await server.loaded();
      const right = new Map<string, number>();
      for (const seed of digests.keys())
        right.set(await embeddingOf(origin, digests.get(seed) ?? '', embed), seed);
      const seen: (number | undefined)[] = [];
      let running = true;
      const load = Array.from({ length: 4 }, async () => {
        while (running) seen.push(right.get(await embed()));
      });
      await pointTo(2);
      await held;
      await pointTo(last);
      // Many looks at the store: one that started a second swap would finish it now.
      await new Promise((done) => setTimeout(done, 500));
      release();
      await until(async () => (await digestServed(server.url)) === digests.get(last));
      await new Promise((done) => setTimeout(done, 300));
      running = false;
      await Promise.all(load);
      expect(right.get(await embed())).toBe(last);
      // Every answer is that of one version as a whole, and versions come in the order of their publication.
      expect(seen).not.toContain(undefined);
      expect(seen).toEqual(seen.toSorted());
      if (last === 1) expect(new Set(seen)).toEqual(new Set([1]));
    } finally {
      release();
      await server.close();
    }
  });
});

/** A store that gives no weights of one version before they are released; `held` when they were first asked for. */
function slowFor(origin: ObjectStore, digest: string) {
  const gate = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const store: ObjectStore = {
    ...origin,
    async getRange(key, ...rest) {
      if (key.includes(digest)) {
        asked.resolve();
        await gate.promise;
      }
      return await origin.getRange(key, ...rest);
    },
  };
  return { store, held: asked.promise, release: gate.resolve };
}

/** What a gateway of its own gives that serves this version alone. */
async function embeddingOf(
  origin: ObjectStore,
  digest: string,
  embed: (url: string) => Promise<string>,
): Promise<string> {
  const store = memoryStore();
  for await (const { key } of origin.list(`tiny/${digest}/`))
    await store.put(key, (await origin.get(key)).body);
  await store.put('tiny/latest.json', new TextEncoder().encode(JSON.stringify({ digest })));
  const server = await startServer({ store, port: 0, workers: 1, pollMs: 0 });
  try {
    await server.loaded();
    return await embed(server.url);
  } finally {
    await server.close();
  }
}

async function digestServed(url: string): Promise<string | undefined> {
  const { models } = (await (await fetch(`${url}/readyz`)).json()) as { models: { digest: string }[] }; // its shape
  return models[0]?.digest;
}
