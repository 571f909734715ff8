import type { Context } from 'hono';
import type { GatewayEnvironment } from './environment.ts';

/** A body that is arriving. */
export interface Arriving {
  /** When all of it is here; rejects when the caller goes away before. */
  readonly done: Promise<void>;
  /** Takes no more of it. */
  cancel(): void;
}

/** How a platform hands over what is no header: a Fetch `Request` has streams and signals that cost more than Node's own. */
export interface Transport {
  /** @param take given the parts of the body in order, until `cancel` */
  body(c: Context<GatewayEnvironment>, take: (part: Uint8Array) => void): Arriving;
  /** Fires when the caller goes away before the answer is out. */
  signal(c: Context<GatewayEnvironment>): AbortSignal;
}

/** What every platform has. */
export const fetchTransport: Transport = {
  body(c, take) {
    const reader = c.req.raw.body?.getReader();
    const read = async () => {
      if (!reader) return;
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        take(value);
      }
    };
    return { done: read(), cancel: () => void reader?.cancel().catch(() => {}) };
  },
  signal: (c) => c.req.raw.signal,
};
