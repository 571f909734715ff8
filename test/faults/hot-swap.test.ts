import { describe, expect, it } from 'vitest';
import { gatewayLog, startServer } from '../../src/host/index.ts';
import { memoryStore } from '../../src/storage/index.ts';
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
});
