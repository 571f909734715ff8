import { errorFrom } from './error.ts';

export interface RetryOptions {
  /** Further tries. */
  readonly retries: number;
  readonly signal?: AbortSignal | undefined;
}

/** Nobody waits longer for a retry, whatever `Retry-After` says. */
const MAX_WAIT_MS = 30_000;
const FIRST_WAIT_MS = 250;

/**
 * Sends until there is an answer: again after 429, 503 and a connection that failed.
 * @throws ConcertinaError for a refusal, the signal's reason, or what `send` threw last
 */
export async function withRetries(
  send: () => Promise<Response>,
  { retries, signal }: RetryOptions,
): Promise<Response> {
  for (let attempt = 0; ; attempt++) {
    const last = attempt >= retries;
    let response: Response;
    try {
      response = await send();
    } catch (error) {
      if (last || signal?.aborted) throw error;
      await pause(waitMs(null, attempt), signal);
      continue;
    }
    if (response.ok) return response;
    if (last || (response.status !== 429 && response.status !== 503)) throw await errorFrom(response);
    await response.body?.cancel();
    await pause(waitMs(response.headers.get('Retry-After'), attempt), signal);
  }
}

/** What the server asks for, or twice as long each time; up to a quarter longer, so that callers do not return together. */
function waitMs(retryAfter: string | null, attempt: number): number {
  const asked = askedMs(retryAfter);
  return Math.min(MAX_WAIT_MS, (asked ?? FIRST_WAIT_MS * 2 ** attempt) * (1 + Math.random() / 4));
}

/** `Retry-After` is seconds or a date (RFC 9110, 10.2.3). */
function askedMs(retryAfter: string | null): number | undefined {
  if (retryAfter === null) return undefined;
  const seconds = Number(retryAfter);
  const wait = Number.isNaN(seconds) ? Date.parse(retryAfter) - Date.now() : seconds * 1000;
  return Number.isFinite(wait) ? Math.max(0, wait) : undefined;
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((done, fail) => {
    const stop = () => {
      clearTimeout(timer);
      fail(signal?.reason);
    };
    if (signal?.aborted) return fail(signal.reason);
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      done();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}
