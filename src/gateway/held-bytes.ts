import { Problem } from '../problem/index.ts';

/** Bytes of all bodies that are being received and worked on; decoded from text each may be there two or three times. */
export const HELD_BYTES = 256 * 2 ** 20;

/** What one request holds. */
export interface HeldLease {
  /** @throws Problem('overloaded') when all requests together would hold too much; nothing is held then */
  take(bytes: number): void;
  /** Gives all of it back. */
  release(): void;
}

/** Bounds the memory of bodies: each is limited by itself, but not how many there are. */
export class HeldBytes {
  readonly #limit: number;
  #held = 0;

  constructor(limit: number = HELD_BYTES) {
    this.#limit = limit;
  }

  lease(): HeldLease {
    let own = 0;
    return {
      take: (bytes) => {
        if (this.#held + bytes > this.#limit)
          throw new Problem(
            'overloaded',
            `Requests that are being received and worked on hold ${Math.round(this.#held / 2 ** 20)} MiB, as much as they may. Try again in a second.`,
            { retryAfter: 1, limit: this.#limit },
          );
        own += bytes;
        this.#held += bytes;
      },
      release: () => {
        this.#held -= own;
        own = 0;
      },
    };
  }
}
