import { Problem } from '../../problem/index.ts';
import { EngineWorker } from './worker-client.ts';

export interface WorkerPoolOptions {
  readonly size: number;
  /** Milliseconds after which a command counts as hung. @default 300_000 */
  readonly timeoutMs?: number;
}

interface Waiting {
  readonly take: (worker: EngineWorker) => void;
  readonly reject: (problem: Problem) => void;
}

const DEFAULT_TIMEOUT_MS = 300_000;

/** Workers that are handed to one task at a time, first come first served. A worker that died is replaced. */
export class WorkerPool {
  readonly #workers: EngineWorker[];
  readonly #idle: EngineWorker[];
  readonly #waiting: Waiting[] = [];
  readonly #timeoutMs: number;
  #busy = new Set<Promise<unknown>>();
  #closed = false;

  constructor({ size, timeoutMs = DEFAULT_TIMEOUT_MS }: WorkerPoolOptions) {
    this.#timeoutMs = timeoutMs;
    this.#workers = Array.from({ length: size }, () => new EngineWorker(timeoutMs));
    this.#idle = [...this.#workers];
  }

  get size(): number {
    return this.#workers.length;
  }

  /** The present workers, busy ones too. */
  get workers(): readonly EngineWorker[] {
    return this.#workers;
  }

  /**
   * Runs a task on the next idle worker.
   * @throws Problem('aborted') when the signal fires before the task has been given a worker
   */
  use<T>(task: (worker: EngineWorker) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const work = this.#take(signal).then(async (worker) => {
      try {
        return await task(worker);
      } finally {
        this.#give(worker);
      }
    });
    this.#busy.add(work);
    const done = () => this.#busy.delete(work);
    work.then(done, done);
    return work;
  }

  /** Lets the tasks that were accepted finish, then ends the workers. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled([...this.#busy]);
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #take(signal: AbortSignal | undefined): Promise<EngineWorker> {
    if (this.#closed) return Promise.reject(new Problem('engine-failed', 'The engine was disposed.'));
    if (signal?.aborted) return Promise.reject(aborted());
    const idle = this.#idle.shift();
    if (idle) return Promise.resolve(idle.alive ? idle : this.#replace(idle));
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(aborted());
      };
      const waiting: Waiting = {
        take: (worker) => {
          signal?.removeEventListener('abort', onAbort);
          resolve(worker);
        },
        reject,
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(waiting);
    });
  }

  #give(worker: EngineWorker): void {
    const usable = worker.alive || this.#closed ? worker : this.#replace(worker);
    const next = this.#waiting.shift();
    if (next) next.take(usable);
    else this.#idle.push(usable);
  }

  #replace(dead: EngineWorker): EngineWorker {
    const fresh = new EngineWorker(this.#timeoutMs);
    this.#workers[this.#workers.indexOf(dead)] = fresh;
    return fresh;
  }
}

function aborted(): Problem {
  return new Problem('aborted', 'The work was aborted before it was started.');
}
