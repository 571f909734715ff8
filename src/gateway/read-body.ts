import type { Context } from 'hono';
import { Problem } from '../problem/index.ts';
import { contentCoding, decodeContent } from './content-encoding.ts';
import type { GatewayEnvironment } from './environment.ts';
import type { HeldLease } from './held-bytes.ts';
import type { Limits } from './limits.ts';
import type { GatewayParts } from './options.ts';

/**
 * Reads a request body whole, up to the limits, and undoes its coding.
 * @throws Problem('unsupported-media-type'), ('malformed-body') for codings, Problem('body-too-large'), ('request-timeout') when it does not arrive in time, ('client-closed-request'), ('overloaded') when all bodies together are too much
 */
export async function readBody(
  c: Context<GatewayEnvironment>,
  { clock, transport }: GatewayParts,
  limits: Limits,
  lease: HeldLease,
): Promise<Uint8Array<ArrayBuffer>> {
  const coding = contentCoding(c.req.header('Content-Encoding'));
  const declared = Number(c.req.header('Content-Length') ?? 0);
  if (declared > limits.bodyBytes) throw tooLarge(limits.bodyBytes);
  const parts: Uint8Array[] = [];
  let size = 0;
  const { promise: refused, reject: refuse } = Promise.withResolvers<never>();
  refused.catch(() => {});
  const { done, cancel } = transport.body(c, (part) => {
    size += part.length;
    if (size > limits.bodyBytes) return refuse(tooLarge(limits.bodyBytes));
    try {
      lease.take(part.length);
      parts.push(part);
    } catch (error) {
      refuse(error);
    }
  });
  const cancelTimer = clock.after(limits.bodyMs, () => refuse(tooSlow(limits.bodyMs)));
  try {
    await Promise.race([done, refused]);
  } catch (error) {
    cancel();
    done.catch(() => {});
    if (error instanceof Problem) throw error;
    throw new Problem(
      'client-closed-request',
      'The body ended before it was complete.',
      {},
      { cause: error },
    );
  } finally {
    cancelTimer();
  }
  // A last part may have been too much when the end was known already.
  if (size > limits.bodyBytes) throw tooLarge(limits.bodyBytes);
  const body = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    body.set(part, at);
    at += part.length;
  }
  return coding === undefined ? body : await decodeContent(body, coding, limits.bodyBytes);
}

function tooLarge(limit: number): Problem {
  return new Problem(
    'body-too-large',
    `The body is larger than the ${limit} bytes that are accepted. Send smaller images, or fewer at a time.`,
    { limit },
  );
}

function tooSlow(ms: number): Problem {
  return new Problem('request-timeout', `The body did not arrive within ${ms} ms. Send it again.`, {
    limit: ms,
  });
}
