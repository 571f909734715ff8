import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';
import { busyConfig } from '../support/tiny-vit.ts';
import { until } from '../support/until.ts';

/** Promise: what nobody reads is not worked on, however many requests a connection holds. */
describe('a connection that sends requests without waiting for answers', () => {
  let server: RunningServer;
  let one: Buffer;
  beforeAll(async () => {
    server = await startServer({ store: await tinyStore({ config: busyConfig() }), port: 0, workers: 1 });
    await server.loaded();
    const image = await picture('#123456', { width: 64, height: 64 });
    const head = `POST /v1/embed HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: ${image.length}\r\n\r\n`;
    one = Buffer.concat([Buffer.from(head), image]);
  });
  afterAll(() => server.close());

  const embedded = async () => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    const images = [...text.matchAll(/concertina_images_total\{[^}]*\} (\d+)/g)];
    return images.reduce((sum, [, count]) => sum + Number(count), 0);
  };

  it('gets all of them, in order', async () => {
    const socket = connect(server.port, '127.0.0.1');
    let answers = 0;
    socket.on('data', (data) => {
      answers += data.toString('latin1').split('HTTP/1.1 200').length - 1;
    });
    socket.write(Buffer.concat(Array(20).fill(one)));
    await until(() => answers === 20, 30_000);
    socket.destroy();
  });

  it('and is closed at once: a few are answered, and the gateway is idle again', async () => {
    const before = await embedded();
    const sockets = Array.from({ length: 20 }, () => connect(server.port, '127.0.0.1'));
    await Promise.all(sockets.map((socket) => new Promise((done) => socket.once('connect', done))));
    for (const socket of sockets) socket.end(Buffer.concat(Array(60).fill(one)));
    await new Promise((done) => setTimeout(done, 200));
    for (const socket of sockets) socket.destroy();
    await until(
      async () =>
        /concertina_waiting\{tier="open"\} 0\n/.test(await (await fetch(`${server.url}/metrics`)).text()),
      30_000,
    );
    const after = await embedded();
    await new Promise((done) => setTimeout(done, 300));
    expect(await embedded()).toBe(after);
    // Of 1200 requests; without a bound every one of them was answered.
    expect(after - before).toBeLessThan(600);
  });

  it('and far too many, is closed; others are served', async () => {
    const socket = connect(server.port, '127.0.0.1');
    const closed = new Promise((done) => socket.once('close', done));
    socket.on('error', () => {});
    socket.write(Buffer.concat(Array(300).fill(one)));
    await closed;
    expect((await fetch(`${server.url}/livez`)).status).toBe(200);
  });
});
