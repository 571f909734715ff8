import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http';

/** What goes wrong with one request. */
export type Fault =
  /** The connection is reset before the server sees the request. */
  | { readonly kind: 'reset' }
  /** The server does what was asked, and the connection is reset before its answer comes back. */
  | { readonly kind: 'lost-answer' }
  /** `503 SlowDown`, as S3 answers when it is asked too often. */
  | { readonly kind: 'slow-down' }
  /** Another refusal of S3's: its code and status. */
  | { readonly kind: 'refuse'; readonly code: string; readonly status: number }
  /** No answer, for ever. */
  | { readonly kind: 'silence' }
  /** So many bytes of the body, and then nothing more. */
  | { readonly kind: 'stall'; readonly after: number }
  /** So many bytes of the body, and then the connection is closed. */
  | { readonly kind: 'cut'; readonly after: number }
  /** A body that is too short, with a length that agrees with it. */
  | { readonly kind: 'shorten'; readonly by: number }
  /** A bit of the body is turned over. */
  | { readonly kind: 'flip'; readonly at: number };

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
}

export interface FaultyProxy {
  readonly endpoint: string;
  /** Requests so far. */
  readonly seen: readonly SeenRequest[];
  /** Decides what happens to the next requests; `undefined` passes a request on as it is. */
  plan: (request: SeenRequest) => Fault | undefined;
  close(): Promise<void>;
}

/** A server in front of an S3 server on which things go wrong as planned. */
export async function faultyProxy(target: string): Promise<FaultyProxy> {
  const seen: SeenRequest[] = [];
  const upstream = new URL(target);
  const server = createServer((incoming, outgoing) => {
    const seenRequest = { method: incoming.method ?? '', path: incoming.url ?? '' };
    seen.push(seenRequest);
    const fault = proxy.plan(seenRequest);
    handle(incoming, outgoing, upstream, fault).catch(() => outgoing.destroy());
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  const proxy: FaultyProxy = {
    endpoint: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
    seen,
    plan: () => undefined,
    async close() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
  return proxy;
}

async function handle(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  upstream: URL,
  fault: Fault | undefined,
): Promise<void> {
  if (fault?.kind === 'reset') return void incoming.socket.resetAndDestroy();
  if (fault?.kind === 'silence') return;
  if (fault?.kind === 'slow-down') return await refuse(incoming, outgoing, 503, 'SlowDown');
  if (fault?.kind === 'refuse') return await refuse(incoming, outgoing, fault.status, fault.code);
  const answer = await forward(incoming, upstream);
  if (fault?.kind === 'lost-answer') return void incoming.socket.resetAndDestroy();
  let { body } = answer;
  if (fault?.kind === 'flip' && body.length > 0) {
    const at = fault.at % body.length;
    body[at] = (body[at] ?? 0) ^ 0x10;
  }
  const headers = { ...answer.headers };
  if (fault?.kind === 'shorten') {
    body = body.subarray(0, Math.max(0, body.length - fault.by));
    headers['content-length'] = String(body.length);
  }
  outgoing.writeHead(answer.status, headers);
  if ((fault?.kind === 'stall' || fault?.kind === 'cut') && fault.after < body.length) {
    // What has been written must have left before the connection ends.
    await new Promise((done) => outgoing.write(body.subarray(0, fault.after), done));
    if (fault.kind === 'cut') outgoing.socket?.destroySoon();
    return;
  }
  outgoing.end(body);
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** The request as the client signed it, and all of its answer. */
async function forward(incoming: IncomingMessage, upstream: URL): Promise<Answer> {
  const { method, url, headers } = incoming;
  const passed = request({ host: upstream.hostname, port: upstream.port, method, path: url, headers });
  incoming.pipe(passed);
  const answer = await new Promise<IncomingMessage>((done, fail) => {
    passed.once('response', done).once('error', fail);
    incoming.once('close', () => incoming.complete || passed.destroy());
  });
  const body = Buffer.concat(await Array.fromAsync(answer as AsyncIterable<Buffer>));
  return { status: answer.statusCode ?? 502, headers: answer.headers, body };
}

async function refuse(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  status: number,
  code: string,
): Promise<void> {
  for await (const _ of incoming);
  outgoing.writeHead(status, { 'content-type': 'application/xml' });
  outgoing.end(
    incoming.method === 'HEAD' ? '' : `<Error><Code>${code}</Code><Message>${code}</Message></Error>`,
  );
}
