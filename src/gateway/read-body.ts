import { Problem } from '../problem/index.ts';
import type { Clock } from '../serving/index.ts';
import type { Limits } from './limits.ts';

/**
 * Reads a request body whole, up to the limits.
 * @throws Problem('body-too-large'), ('request-timeout') when it does not arrive in time, ('client-closed-request')
 */
export async function readBody(
  request: Request,
  limits: Limits,
  clock: Clock,
): Promise<Uint8Array<ArrayBuffer>> {
  const declared = Number(request.headers.get('Content-Length') ?? 0);
  if (declared > limits.bodyBytes) throw tooLarge(limits.bodyBytes);
  const reader = request.body?.getReader();
  if (!reader) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let size = 0;
  let cancel = () => {};
  const late = new Promise<never>((_, reject) => {
    cancel = clock.after(limits.bodyMs, () => reject(tooSlow(limits.bodyMs)));
  });
  late.catch(() => {});
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), late]);
      if (done) break;
      size += value.length;
      if (size > limits.bodyBytes) throw tooLarge(limits.bodyBytes);
      chunks.push(value);
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    if (error instanceof Problem) throw error;
    throw new Problem(
      'client-closed-request',
      'The body ended before it was complete.',
      {},
      { cause: error },
    );
  } finally {
    cancel();
  }
  const body = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
  }
  return body;
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
