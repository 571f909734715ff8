import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { embedAt } from '../support/embed-at.ts';
import { picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';
import { until } from '../support/until.ts';

const BODY_MS = 700;
const CALLERS = 50;

/** Promise: bodies that trickle in for ever are given up in bounded time, and nobody waits for them. */
describe('bodies that never end', () => {
  let server: RunningServer;

  beforeAll(async () => {
    server = await startServer({
      store: await tinyStore(),
      port: 0,
      workers: 1,
      limits: { bodyMs: BODY_MS },
    });
    await server.loaded();
  });
  afterAll(() => server.close());

  it('are answered with 408 and a closed connection, while others are served', async () => {
    const image = await picture();
    const answers = Array.from({ length: CALLERS }, () => '');
    const sockets = answers.map((_, i): Socket => {
      const socket = connect(server.port, '127.0.0.1');
      socket.on('data', (data) => {
        answers[i] = `${answers[i]}${data}`;
      });
      socket.on('error', () => {});
      const form = i % 2 === 0 ? 'Content-Length: 100000' : 'Transfer-Encoding: chunked';
      socket.write(`POST /v1/embed HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n${form}\r\n\r\n`);
      return socket;
    });
    const began = performance.now();
    const trickle = setInterval(() => {
      for (const [i, socket] of sockets.entries())
        if (!socket.destroyed) socket.write(i % 2 === 0 ? 'x' : '1\r\nx\r\n');
    }, 50);
    try {
      while (performance.now() - began < BODY_MS / 2)
        expect(await embedAt(server, image)).toMatchObject({ status: 200, level: 2 });
      await until(() => answers.every((answer) => answer.includes('request-timeout')), 5000);
      for (const answer of answers) {
        expect(answer).toMatch(/^HTTP\/1\.1 408 /);
        expect(answer).toMatch(/\r\nconnection: close\r\n/i);
      }
      await until(() => sockets.every(({ destroyed }) => destroyed), 5000);
    } finally {
      clearInterval(trickle);
      for (const socket of sockets) socket.destroy();
    }
  });
});
