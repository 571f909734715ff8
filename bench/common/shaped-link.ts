import { connect, createServer, type Socket } from 'node:net';

/** A chunk that is let through at a time: fine enough that connections share the link. */
const CHUNK = 32 * 1024;

export interface ShapedLink {
  readonly endpoint: string;
  /** Bytes that have come through towards the client. */
  readonly bytes: number;
  /** Begins to count anew. */
  reset(): void;
  close(): Promise<void>;
}

export interface LinkOptions {
  /** Towards the client, all connections together. @default without limit */
  readonly mbitPerSecond?: number | undefined;
  /** Added to every request on its way out, ms. @default 0 */
  readonly delayMs?: number | undefined;
}

/** A link to a server: a TCP proxy on 127.0.0.1 with one token bucket for what comes back. */
export async function shapedLink(target: string, options: LinkOptions = {}): Promise<ShapedLink> {
  const { hostname, port } = new URL(target);
  const { mbitPerSecond = Number.POSITIVE_INFINITY, delayMs = 0 } = options;
  const sockets = new Set<Socket>();
  let bytes = 0;
  // When the link has sent all that was handed to it, ms.
  let free = 0;
  const turn = async (size: number): Promise<void> => {
    const now = performance.now();
    free = Math.max(free, now) + (size * 8) / (mbitPerSecond * 1000);
    // Timers are no finer than a millisecond; what is sent too early now is made up for by the next.
    if (free - now > 1) await new Promise((done) => setTimeout(done, free - now));
  };
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay();
      socket.on('error', () => {
        client.destroy();
        upstream.destroy();
      });
      socket.on('close', () => sockets.delete(socket));
    }
    client.on('data', (data) => setTimeout(() => upstream.write(data), delayMs));
    client.on('end', () => setTimeout(() => upstream.end(), delayMs));
    void (async () => {
      for await (const data of upstream as AsyncIterable<Buffer>) {
        for (let at = 0; at < data.length; at += CHUNK) {
          const chunk = data.subarray(at, at + CHUNK);
          await turn(chunk.length);
          bytes += chunk.length;
          if (!client.write(chunk))
            await new Promise((done) => client.once('drain', done).once('close', done));
        }
      }
      client.end();
    })().catch(() => client.destroy());
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  return {
    endpoint: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
    get bytes() {
      return bytes;
    },
    reset() {
      bytes = 0;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}
