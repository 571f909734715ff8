import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';

const SECRET = 'a-secret-of-32-letters-or-so-----';

describe('a gateway behind a front door', () => {
  let server: RunningServer;
  let image: Uint8Array<ArrayBuffer>;
  beforeAll(async () => {
    const given = { port: 0, workers: 1, basePath: '/free', originSecret: SECRET, expose: ['docs'] } as const;
    server = await startServer({ store: await tinyStore(), ...given });
    image = await picture();
  });
  afterAll(() => server.close());

  const status = async (path: string) => (await fetch(server.url + path)).status;
  const embed = (headers: Record<string, string>) =>
    fetch(`${server.url}/free/v1/embed`, {
      method: 'POST',
      headers: { 'Content-Type': 'image/png', ...headers },
      body: image,
    });

  it('answers probes with and without its base path', async () => {
    for (const path of ['/livez', '/readyz', '/free/livez', '/free/readyz'])
      expect(await status(path), path).toBe(200);
  });

  it('shows the pages that it was told to, and says 404 for the others', async () => {
    for (const [path, expected] of Object.entries({ docs: 200, 'openapi.json': 200, metrics: 404, '': 404 }))
      expect(await status(`/free/${path}`), path).toBe(expected);
  });

  it('refuses what does not come through the front door, and nothing else of it', async () => {
    for (const headers of [{}, { 'X-Origin-Secret': 'wrong' }, { 'X-Origin-Secret': `${SECRET}x` }]) {
      const refused = await embed(headers as Record<string, string>);
      expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([
        403,
        'not-the-front-door',
      ]);
    }
    expect((await embed({ 'X-Origin-Secret': SECRET })).status).toBe(200);
  });
});
