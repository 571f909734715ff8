import { Problem } from '../../../problem/index.ts';

interface Waiting {
  readonly start: () => void;
}

/** Lets a number of tasks run at a time, first come first served. */
export class Turns {
  #free: number;
  readonly #waiting: Waiting[] = [];
  readonly #running = new Set<Promise<unknown>>();
  #closed = false;

  constructor(size: number) {
    this.#free = size;
  }

  /** @throws Problem('aborted') when the signal fires before the task has its turn; ('engine-failed') after `close` */
  take<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const work = this.#turn(signal).then(async () => {
      try {
        return await task();
      } finally {
        this.#pass();
      }
    });
    this.#running.add(work);
    const done = () => this.#running.delete(work);
    work.then(done, done);
    return work;
  }

  /** Lets what was accepted finish; nothing is accepted any more. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled([...this.#running]);
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    if (this.#closed) return Promise.reject(new Problem('engine-failed', 'The engine was disposed.'));
    if (signal?.aborted) return Promise.reject(aborted());
    if (this.#free > 0) {
      this.#free--;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(aborted());
      };
      const waiting: Waiting = {
        start: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(waiting);
    });
  }

  #pass(): void {
    const next = this.#waiting.shift();
    if (next) next.start();
    else this.#free++;
  }
}

function aborted(): Problem {
  return new Problem('aborted', 'The work was aborted before it was started.');
}
