import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gatewayLog, type RunningServer, startServer } from '../../src/host/index.ts';
import { picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';
import { busyConfig } from '../support/tiny-vit.ts';
import { until } from '../support/until.ts';

/** Promise: a caller that has gone away costs nothing more, and nobody else notices. */
describe('a client that goes away', () => {
  const lines: string[] = [];
  let server: RunningServer;
  let image: Uint8Array<ArrayBuffer>;

  beforeAll(async () => {
    server = await startServer({
      store: await tinyStore({ config: busyConfig() }),
      port: 0,
      workers: 1,
      log: gatewayLog('json', (line) => lines.push(line)),
    });
    await server.loaded();
    image = await picture('#123456', { width: 64, height: 64 });
  });
  afterAll(() => server.close());

  const embed = (signal?: AbortSignal) =>
    fetch(`${server.url}/v1/embed`, {
      method: 'POST',
      body: image,
      headers: { 'Content-Type': 'image/png' },
      ...(signal && { signal }),
    });
  const metric = async (pattern: RegExp) => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    return Number(pattern.exec(text)?.[1] ?? 0);
  };

  it('is dropped while it waits; those behind it are served', async () => {
    const before = await metric(/concertina_images_total\{[^}]*level="2"[^}]*\} (\d+)/);
    const callers = Array.from({ length: 12 }, () => new AbortController());
    const requests = callers.map(({ signal }) =>
      embed(signal).then(
        ({ status }) => status,
        () => 'gone',
      ),
    );
    await until(async () => (await metric(/concertina_waiting\{tier="open"\} (\d+)/)) >= 8);
    for (const caller of callers.slice(4, 10)) caller.abort();
    const outcomes = await Promise.all(requests);
    expect(outcomes.filter((outcome) => outcome === 200)).toHaveLength(6);
    expect(outcomes.filter((outcome) => outcome === 'gone')).toHaveLength(6);
    await until(async () => (await metric(/concertina_waiting\{tier="open"\} (\d+)/)) === 0);
    const images = /concertina_images_total\{[^}]*\} (\d+)/g;
    const text = await (await fetch(`${server.url}/metrics`)).text();
    const total = [...text.matchAll(images)].reduce((sum, [, count]) => sum + Number(count), 0);
    // At most one of the six can have been in the engine when it left.
    expect(total - before).toBeLessThanOrEqual(7);
    await until(() => lines.filter((line) => line.includes('client-closed-request')).length >= 5);
  });

  it('may break off in the middle of its upload', async () => {
    const { port } = server;
    for (let i = 0; i < 5; i++) {
      const socket = connect(port, '127.0.0.1');
      await new Promise((done) => socket.once('connect', done));
      socket.write(
        `POST /v1/embed HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n\r\n`,
      );
      socket.write(image.slice(0, 50));
      await new Promise((done) => setTimeout(done, 20));
      socket.destroy();
    }
    expect((await embed()).status).toBe(200);
  });
});
