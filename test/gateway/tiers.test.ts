import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { gatewayLog, type RunningServer, startServer } from '../../src/host/index.ts';
import { createKey } from '../../src/serving/index.ts';
import { dataUri, picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';

interface Answer {
  readonly status: number;
  readonly code: string | undefined;
  readonly header: (name: string) => string | null;
}

/** A gateway with these tiers; what it is asked, and what it has logged. */
async function withTiers<T>(
  tiers: object,
  use: (
    send: (headers?: Record<string, string>) => Promise<Answer>,
    server: RunningServer,
    lines: readonly string[],
  ) => Promise<T>,
): Promise<T> {
  const config = join(await mkdtemp(join(tmpdir(), 'concertina-')), 'tiers.json');
  await writeFile(config, JSON.stringify({ tiers }));
  const lines: string[] = [];
  const log = gatewayLog('json', (line) => lines.push(line));
  const server = await startServer({ store: await tinyStore(), port: 0, workers: 1, config, log });
  try {
    await server.loaded();
    const image = dataUri(await picture());
    const send = async (headers: Record<string, string> = {}) => {
      const response = await fetch(`${server.url}/v1/embeddings`, {
        method: 'POST',
        body: JSON.stringify({ input: image }),
        headers: { 'Content-Type': 'application/json', ...headers },
      });
      const { code } = (await response.json()) as { code?: string }; // problem details, or none
      return { status: response.status, code, header: (name: string) => response.headers.get(name) };
    };
    return await use(send, server, lines);
  } finally {
    await server.close();
  }
}

describe('tiers', () => {
  it('let known keys in, keep their rate and their ceiling, and refuse the others', async () => {
    const { key, hash } = await createKey();
    const gold = {
      keys: [hash],
      rateLimit: { requests: 2, windowSeconds: 3600 },
      ceiling: { fidelity: 0.95 },
    };
    await withTiers({ gold }, async (send, server) => {
      const missing = await send();
      expect(missing).toMatchObject({ status: 401, code: 'missing-key' });
      expect(missing.header('WWW-Authenticate')).toBe('Bearer');
      expect(await send({ Authorization: 'Bearer ck_wrong' })).toMatchObject({
        status: 403,
        code: 'unknown-key',
      });
      const first = await send({ Authorization: `Bearer ${key}` });
      // Of fidelity 0.6, 0.9 and 1.
      expect(first.header('Compute-Applied')).toMatch(/^level=1, .*limited-by=tier$/);
      expect(first.header('RateLimit-Policy')).toBe('"gold";q=2;w=3600');
      expect(first.header('RateLimit')).toMatch(/^"gold";r=1;t=\d+$/);
      // A problem of the request's own counts and says what is left all the same.
      const broken = await send({ Authorization: `Bearer ${key}`, 'Compute-Budget': 'flops=2' });
      expect(broken).toMatchObject({ status: 400 });
      expect(broken.header('RateLimit')).toMatch(/^"gold";r=0;t=\d+$/);
      const limited = await send({ 'X-Api-Key': key });
      expect(limited).toMatchObject({ status: 429, code: 'rate-limited' });
      const wait = Number(limited.header('Retry-After'));
      expect(wait).toBeGreaterThan(1000);
      expect(limited.header('RateLimit')).toBe(`"gold";r=0;t=${wait}`);
      expect(limited.header('RateLimit-Policy')).toBe('"gold";q=2;w=3600');
      expect((await fetch(`${server.url}/livez`)).status).toBe(200);
    });
  });

  it('give no fresh rate for a key that nobody gave out', async () => {
    const open = { default: true, rateLimit: { requests: 3, windowSeconds: 3600 } };
    await withTiers({ open }, async (send) => {
      const statuses: number[] = [];
      for (let i = 0; i < 5; i++)
        statuses.push((await send({ Authorization: `Bearer made-up-${i}` })).status);
      expect(statuses).toEqual([200, 200, 200, 429, 429]);
    });
  });

  it('keep keys and images out of logs and metrics', async () => {
    const { key, hash } = await createKey();
    const { key: stranger } = await createKey();
    await withTiers({ gold: { keys: [hash] } }, async (send, server, lines) => {
      expect((await send({ Authorization: `Bearer ${key}` })).status).toBe(200);
      expect((await send({ 'X-Api-Key': stranger })).status).toBe(403);
      expect(
        (await send({ Authorization: `Bearer ${key}`, 'Compute-Budget': `${key}=1, flops=x` })).status,
      ).toBe(400);
      const written = [...lines, await (await fetch(`${server.url}/metrics`)).text()].join('\n');
      expect(lines.filter((line) => line.includes('/v1/embeddings'))).toHaveLength(3);
      for (const secret of [
        key,
        stranger,
        key.slice(3),
        hash,
        'base64',
        dataUri(await picture()).slice(30, 60),
      ])
        expect(written).not.toContain(secret);
    });
  });
});
