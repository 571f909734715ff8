import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createKey } from '../../src/serving/index.ts';
import { startGatewayProcess } from '../support/gateway-process.ts';
import { dataUri, picture } from '../support/pictures.ts';
import { pngOfZeros } from '../support/png-bomb.ts';

/** Promise: pictures that cost far more than their size cost the one who sends them, and nobody else. */
describe('an anonymous caller who sends pictures that are costly to decode', () => {
  it('keeps no premium caller from an answer, and ends nothing', async () => {
    const { key, hash } = await createKey();
    const config = join(await mkdtemp(join(tmpdir(), 'concertina-')), 'tiers.json');
    const tiers = { free: { default: true }, premium: { weight: 16, keys: [hash] } };
    await writeFile(config, JSON.stringify({ tiers }));
    const gateway = await startGatewayProcess('--config', config);
    let dead = false;
    void gateway.exited.then(() => {
      dead = true;
    });
    const tall = pngOfZeros({ width: 1, height: 49_999_999, depth: 1 }, 400_000);
    const wide = pngOfZeros({ width: 49_999_999, height: 1, depth: 1 });
    const interlaced = pngOfZeros({ width: 4000, height: 4000, colour: 6, depth: 16, interlaced: true });
    const svg = new TextEncoder().encode(
      `<svg xmlns="http://www.w3.org/2000/svg">${'<path d="M1 1 l5 5" stroke="red"/>'.repeat(60_000)}</svg>`,
    );
    const image = await picture();
    const bombs = [tall, tall, tall, tall, wide, interlaced, interlaced, svg];
    // One that is sound, so that the answer has items.
    const input = [...bombs, image].map((bytes) => dataUri(bytes));
    try {
      const flood = Array.from({ length: 4 }, async () => {
        const response = await fetch(`${gateway.url}/v1/embeddings`, {
          method: 'POST',
          body: JSON.stringify({ input, error_policy: 'per_item' }),
          headers: { 'Content-Type': 'application/json', 'Compute-Budget': 'deadline=20000' },
        });
        const { data } = (await response.json()) as { data: { error?: { code: string } }[] }; // the contract's shape
        return data.map(({ error }) => error?.code);
      });
      let inTime = 0;
      const asked = 100;
      for (let i = 0; i < asked; i++) {
        const began = performance.now();
        const response = await fetch(`${gateway.url}/v1/embed`, {
          method: 'POST',
          body: image,
          headers: {
            'Content-Type': 'image/png',
            'Compute-Budget': 'deadline=1000',
            Authorization: `Bearer ${key}`,
          },
        });
        await response.arrayBuffer();
        const took = performance.now() - began;
        if (response.status === 200 && took <= 1000) inTime++;
        await new Promise((done) => setTimeout(done, 20));
      }
      expect(inTime).toBeGreaterThanOrEqual(0.99 * asked);
      for (const codes of await Promise.all(flood)) {
        // Refused by their first bytes.
        expect(codes.slice(0, 5).every((code) => code === 'too-many-pixels')).toBe(true);
        expect(codes[7]).toBe('undecodable-image');
      }
      expect(dead).toBe(false);
    } finally {
      gateway.kill('SIGKILL');
      await gateway.exited;
    }
  });
});
