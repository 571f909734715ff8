import { type Budget, formatBudget, type Term } from '../budget/index.ts';
import type { Seen } from '../gateway/index.ts';
import { Problem } from '../problem/index.ts';
import type { Fetcher } from './bindings.ts';

export interface OriginOptions {
  /** Base address; `{tier}` in it stands for the caller's tier. */
  readonly address: string;
  readonly fetcher: Fetcher;
  /** Goes along in `X-Origin-Secret`: the origin answers nobody without it. */
  readonly secret?: string | undefined;
  readonly now: () => number;
}

/** Longest wait for an answer without a deadline: a Lambda function behind an HTTP API has 29 s. */
const TIMEOUT_MS = 30_000;
/** A latency target is waited for so many times, but never less than this, ms: late is still better than nothing. */
const [PATIENCE, LEAST_PATIENCE_MS] = [4, 1000];
/** Weight of a new measurement of the way there and back. */
const WAY_RATE = 0.2;
/** Less than this cannot be said, and is over before it has begun. */
const LEAST_MS = 0.001;
/** Headers of one connection, not of the request. */
const OF_THE_CONNECTION = [
  'connection',
  'content-length',
  'host',
  'keep-alive',
  'te',
  'transfer-encoding',
  'upgrade',
];

/** The native gateway that answers what a Worker cannot. */
export class Origin {
  readonly #options: OriginOptions;
  /** What the way there and back takes beside the origin's own time, ms: network time moves a Worker's clock. */
  #way = 0;

  constructor(options: OriginOptions) {
    this.#options = options;
  }

  /**
   * Sends a request on, its key with it: as it comes where its body has not been read, otherwise with what is left of its
   * budget.
   * @throws Problem('deadline-exceeded') when nothing is left, Problem('origin-unavailable')
   */
  async send(request: Request, { tier, firstByte, read }: Seen, requestId: string): Promise<Response> {
    const budget = read
      ? remaining(read.budget, {
          firstByte,
          bodyComplete: read.bodyComplete,
          now: this.#options.now() + this.#way,
        })
      : {};
    const body = read ? read.bytes : request.body;
    const { address, fetcher, secret, now } = this.#options;
    const headers = forwardedHeaders(request, budget, requestId);
    if (secret !== undefined) headers.set('X-Origin-Secret', secret);
    // What was read here has been decoded.
    if (read) headers.delete('content-encoding');
    const { pathname, search } = new URL(request.url);
    const target = address.replaceAll('{tier}', tier) + pathname + search;
    const limit = AbortSignal.timeout(patience(budget));
    const began = now();
    try {
      const signal = AbortSignal.any([request.signal, limit]);
      // Bodies that are still arriving are sent while they are read; Fetch's types lack the word for it.
      const sent = { method: 'POST', headers, body, signal, duplex: 'half' } as RequestInit;
      const answer = await fetcher.fetch(new Request(target, sent));
      if (answer.status === 502 || answer.status === 503) throw new Error(`it answers ${answer.status}`);
      this.#learn(now() - began, answer);
      return answer;
    } catch (cause) {
      if (limit.aborted && budget.deadline)
        throw new Problem('deadline-exceeded', 'The native gateway did not answer before the deadline.');
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new Problem(
        'origin-unavailable',
        `This request needs the native gateway, which does not answer (${reason}). Try again in a moment.`,
        { retryAfter: 1 },
        { cause },
      );
    }
  }

  #learn(took: number, answer: Response): void {
    const own = [...(answer.headers.get('Server-Timing') ?? '').matchAll(/dur=([\d.]+)/g)];
    if (own.length === 0) return;
    const way = Math.max(0, took - own.reduce((sum, [, ms]) => sum + Number(ms), 0));
    this.#way = this.#way === 0 ? way : this.#way + WAY_RATE * (way - this.#way);
  }
}

/** How long an origin is waited for, ms. */
function patience({ deadline, latency }: Budget): number {
  const late = latency ? Math.max(LEAST_PATIENCE_MS, PATIENCE * latency.value) : TIMEOUT_MS;
  return Math.min(TIMEOUT_MS, deadline?.value ?? TIMEOUT_MS, late);
}

function forwardedHeaders(request: Request, budget: Budget, requestId: string): Headers {
  const headers = new Headers(request.headers);
  for (const name of OF_THE_CONNECTION) headers.delete(name);
  headers.set('X-Request-Id', requestId);
  headers.set('Via', '1.1 concertina');
  const text = formatBudget(budget);
  if (text !== '') headers.set('Compute-Budget', text);
  return headers;
}

/** Instants of a request, on the clock; `now` is when the origin will have it. */
interface Instants {
  readonly firstByte: number;
  readonly bodyComplete: number;
  readonly now: number;
}

/** @throws Problem('deadline-exceeded') when the deadline has passed */
function remaining(budget: Budget, { firstByte, bodyComplete, now }: Instants): Budget {
  const { deadline, latency } = budget;
  if (deadline && deadline.value <= now - firstByte)
    throw new Problem(
      'deadline-exceeded',
      `The deadline of ${deadline.value} ms passed before the request was started.`,
      { deadline: deadline.value },
    );
  const less = (term: Term, since: number): Term => ({
    ...term,
    value: Math.max(LEAST_MS, term.value - (now - since)),
  });
  return {
    ...budget,
    ...(deadline && { deadline: less(deadline, firstByte) }),
    ...(latency && { latency: less(latency, bodyComplete) }),
  };
}
