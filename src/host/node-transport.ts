import type { IncomingMessage, ServerResponse } from 'node:http';
import { fetchTransport, type Transport } from '../gateway/index.ts';

/** What the server's adapter gives with each request; on Lambda there is nothing of it. */
interface NodeBindings {
  readonly incoming?: IncomingMessage;
  readonly outgoing?: ServerResponse;
}

/** Bodies and callers that go away, from Node's own request and response. */
export const nodeTransport: Transport = {
  body(c, take) {
    const { incoming } = bindings(c.env);
    if (!incoming) return fetchTransport.body(c, take);
    incoming.on('data', take);
    const done = new Promise<void>((end, fail) => {
      incoming.once('end', end);
      incoming.once('error', fail);
      incoming.once('close', () => fail(new Error('The connection was closed.')));
    });
    return {
      done,
      cancel: () => {
        incoming.off('data', take);
        // What still comes is thrown away, so that the answer can be read.
        incoming.resume();
      },
    };
  },
  signal(c) {
    const { outgoing } = bindings(c.env);
    if (!outgoing) return fetchTransport.signal(c);
    const controller = new AbortController();
    const closed = () => {
      if (!outgoing.writableFinished) controller.abort();
    };
    if (outgoing.destroyed) closed();
    else outgoing.once('close', closed);
    return controller.signal;
  },
};

const bindings = (env: unknown): NodeBindings => (env ?? {}) as NodeBindings; // the adapter's, where there is one
