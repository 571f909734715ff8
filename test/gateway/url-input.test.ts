import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { imageFetcher, type RunningServer, startServer } from '../../src/host/index.ts';
import { dataUri, picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';

const TLS = join(import.meta.dirname, '../fixtures/tls');
const [key = '', ca = ''] = ['key.pem', 'cert.pem'].map((name) => readFileSync(join(TLS, name), 'utf8'));

interface List {
  readonly data: readonly {
    readonly embedding: readonly number[];
    readonly error?: { readonly code: string };
  }[];
}

describe('image URLs, where they are switched on', () => {
  let origin: Server;
  let server: RunningServer;
  let image: Uint8Array<ArrayBuffer>;

  beforeAll(async () => {
    image = await picture();
    const wide = await picture('#000000', { width: 1200, height: 1000 });
    origin = createServer({ key, cert: ca }, ({ url }, response) => {
      if (url === '/a.png') response.end(image);
      else if (url === '/wide.png') response.end(wide);
      else response.writeHead(404).end();
    });
    await new Promise<void>((done) => origin.listen(0, '127.0.0.1', done));
    const address = origin.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    server = await startServer({
      store: await tinyStore(),
      port: 0,
      workers: 1,
      limits: { pixels: 1_000_000 },
      fetchImage: imageFetcher({
        allow: ['images.test'],
        resolve: async () => [{ address: '127.0.0.1', family: 4 }],
        permitted: (address) => address === '127.0.0.1',
        tls: { port, ca },
      }),
    });
    await server.loaded();
  });
  afterAll(async () => {
    origin.closeAllConnections();
    origin.close();
    await server.close();
  });

  const embed = (input: unknown) =>
    fetch(`${server.url}/v1/embeddings`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ input, error_policy: 'per_item' }),
    });

  it('give what the image itself gives, and the time that fetching took', async () => {
    const response = await embed(['https://images.test/a.png', dataUri(image)]);
    const { data } = (await response.json()) as List; // OpenAI's shape
    expect(data[0]?.embedding).toHaveLength(12);
    expect(data[0]?.embedding).toEqual(data[1]?.embedding);
    expect(
      Number(/fetch;dur=([\d.]+)/.exec(response.headers.get('Server-Timing') ?? '')?.[1]),
    ).toBeGreaterThan(0);
  });

  it('fail alone: forbidden, missing and oversized ones do not sink the others', async () => {
    const response = await embed([
      'https://169.254.169.254/latest/meta-data/',
      'http://images.test/a.png',
      'https://elsewhere.test/a.png',
      'https://images.test/missing.png',
      'https://images.test/wide.png',
      { image: 'https://images.test/a.png' },
    ]);
    expect(response.status).toBe(200);
    const { data } = (await response.json()) as List; // OpenAI's shape
    expect(data.map(({ error }) => error?.code)).toEqual([
      'url-not-allowed',
      'url-not-allowed',
      'url-not-allowed',
      'image-fetch-failed',
      'too-many-pixels',
      undefined,
    ]);
  });

  it('answer with their own status when nothing else was asked for', async () => {
    for (const [url, status] of [
      ['https://elsewhere.test/a.png', 403],
      ['https://images.test/missing.png', 502],
    ] as const)
      expect((await embed(url)).status).toBe(status);
  });
});
