import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  exampleOf,
  gatewayLog,
  openApiDocument,
  ROUTES,
  routeTable,
  templateOf,
} from '../../src/gateway/index.ts';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { tinyStore } from '../support/tiny-store.ts';

interface Line {
  readonly method: string;
  readonly route: string;
  readonly status: number;
}

describe('the list of routes', () => {
  let server: RunningServer;
  const lines: string[] = [];
  const last = () => JSON.parse(lines.at(-1) ?? '{}') as Line; // what the log writes

  beforeAll(async () => {
    const log = gatewayLog('json', (line) => lines.push(line));
    server = await startServer({ store: await tinyStore(), port: 0, workers: 1, basePath: '/vision', log });
    await server.loaded();
  });
  afterAll(() => server.close());

  it.each(ROUTES.map(({ method, path }) => [method, path] as const))(
    'is what answers, refuses other methods and labels %s %s',
    async (method, path) => {
      const url = `${server.url}/vision${exampleOf(path)}`;
      const response = await fetch(url, { method, ...(method === 'POST' && { body: '' }) });
      expect(response.status).not.toBe(404);
      expect(response.status).not.toBe(405);
      expect(last()).toMatchObject({ method, route: path, status: response.status });
      const wrong = await fetch(url, { method: 'DELETE' });
      const allowed = ROUTES.filter((route) => route.path === path).map((route) => route.method);
      expect(wrong.status).toBe(405);
      expect(wrong.headers.get('Allow')?.split(', ')).toEqual(expect.arrayContaining(allowed));
      expect(last()).toMatchObject({ method: 'DELETE', route: path, status: 405 });
    },
  );

  it('is what the OpenAPI document describes, but for the documents themselves', () => {
    const { paths } = openApiDocument('0', ROUTES);
    const described = Object.entries(paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const listed = ROUTES.map(({ method, path }) => `${method} ${templateOf(path)}`);
    expect(described).toEqual(listed.filter((route) => !/\/(openapi\.json|docs)$/.test(route)));
  });

  it('names the address that was meant, and no method, where there is nothing', async () => {
    for (const [path, meant] of [
      ['/vision/v1/v1/embeddings', '/vision/v1/embeddings'],
      ['/metrics', '/vision/metrics'],
      ['/v1/embed', '/vision/v1/embed'],
      ['/vision/api/v1/models/tiny', '/vision/v1/models/tiny'],
    ] as const) {
      const response = await fetch(`${server.url}${path}`, { method: 'POST', body: '{}' });
      expect([path, response.status]).toEqual([path, 404]);
      expect(await response.json()).toMatchObject({
        code: 'unknown-route',
        nearest: meant,
        detail: expect.stringContaining(`Did you mean ${meant}?`),
      });
      expect(last()).toMatchObject({ route: 'other', status: 404 });
    }
    const nowhere = await fetch(`${server.url}/vision/nothing`);
    expect(await nowhere.json()).not.toHaveProperty('nearest');
  });

  it('answers HEAD as GET, without a body', async () => {
    const response = await fetch(`${server.url}/vision/livez`, { method: 'HEAD' });
    expect([response.status, await response.text()]).toEqual([200, '']);
    expect(routeTable(ROUTES).find('HEAD', '/livez')?.path).toBe('/livez');
    expect(routeTable(ROUTES).find('HEAD', '/v1/embed')).toBeUndefined();
  });
});
