import { Problem } from '../problem/index.ts';
import type { Clock } from './clock.ts';
import type { DecodeWork } from './decode-work.ts';

/** Pictures of a tier that may wait to be decoded apart. */
const MOST_WAITING = 64;

export interface ApartRequest {
  readonly work: DecodeWork;
  readonly tier: string;
  readonly weight: number;
  /** When the answer becomes worthless, ms on the clock. */
  readonly expires: number;
  readonly signal?: AbortSignal | undefined;
}

interface Queued extends ApartRequest {
  readonly start: () => void;
}

/**
 * Decodes the pictures that are too much for the gateway's own threads, one at a time beside everything else. Weighted fair between
 * tiers, first come first served inside one. What nobody waits for any more is dropped, also while it is decoded.
 */
export class ApartLane {
  readonly #clock: Clock;
  readonly #queue: Queued[] = [];
  readonly #virtual = new Map<string, number>();
  /** Processor time that is wanted of the lane, ms. */
  #wanted = 0;
  #running = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * @returns the network's input
   * @throws Problem('tier-saturated'), ('overloaded') before anything is done; ('deadline-exceeded'), ('client-closed-request'), and what
   *   decoding throws
   */
  async decode(request: ApartRequest): Promise<Float32Array> {
    const { work, expires, signal } = request;
    if (this.#queue.filter(({ tier }) => tier === request.tier).length >= MOST_WAITING)
      throw new Problem(
        'tier-saturated',
        `${MOST_WAITING} large pictures of the ${request.tier} tier wait to be decoded already. Scale them down first, or try again in a few seconds.`,
        { retryAfter: 5, tier: request.tier },
      );
    const left = expires - this.#clock.now();
    if (this.#wanted + work.predicted > left)
      throw new Problem(
        'overloaded',
        `Decoding this picture takes about ${Math.ceil(work.predicted)} ms of a processor, and ${Math.ceil(this.#wanted)} ms are wanted before it: more than is left until the deadline. Scale it down first.`,
        {
          retryAfter: Math.ceil((1 + this.#wanted) / 1000),
          expected: Math.ceil(this.#wanted + work.predicted),
        },
      );
    const gone = new AbortController();
    const onAbort = () =>
      gone.abort(
        new Problem('client-closed-request', 'The caller went away before the picture was decoded.'),
      );
    signal?.addEventListener('abort', onAbort, { once: true });
    const cancel =
      expires === Number.POSITIVE_INFINITY
        ? () => {}
        : this.#clock.after(Math.max(0, left), () =>
            gone.abort(
              new Problem('deadline-exceeded', 'The deadline passed before the picture was decoded.'),
            ),
          );
    this.#wanted += work.predicted;
    try {
      await this.#turn(request, gone.signal);
      try {
        return await Promise.race([work.decode(gone.signal), rejection(gone.signal)]);
      } finally {
        this.#running = false;
        this.#next();
      }
    } finally {
      this.#wanted -= work.predicted;
      cancel();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  async #turn(request: ApartRequest, gone: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const queued: Queued = { ...request, start: resolve };
    const leave = () => {
      const index = this.#queue.indexOf(queued);
      if (index < 0) return;
      this.#queue.splice(index, 1);
      reject(gone.reason);
    };
    gone.addEventListener('abort', leave, { once: true });
    this.#queue.push(queued);
    this.#next();
    await promise;
  }

  #next(): void {
    if (this.#running) return;
    let first: Queued | undefined;
    for (const queued of this.#queue) if (!first || this.#past(queued) < this.#past(first)) first = queued;
    if (!first) {
      this.#virtual.clear();
      return;
    }
    this.#queue.splice(this.#queue.indexOf(first), 1);
    this.#virtual.set(first.tier, this.#past(first) + first.work.predicted / first.weight);
    this.#running = true;
    first.start();
  }

  /** Work that the tier has had while the lane was busy, by its weight. */
  #past({ tier }: Queued): number {
    return this.#virtual.get(tier) ?? 0;
  }
}

function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
