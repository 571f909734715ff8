import { Problem } from '../problem/index.ts';
import type { Command, Outputs, PlainTensor } from './commands.ts';

/** What carries out engine commands, in the order in which they are sent: a thread, or the isolate itself. */
export interface EngineWorker {
  /** False once it has ended; it is replaced then. */
  readonly alive: boolean;
  /**
   * Sends a command. Arrays are copied unless their buffers are in `transfer`.
   * @param timeoutMs after which this command counts as hung; the worker's own if absent
   * @throws Problem('engine-failed')
   */
  send(command: Command, transfer?: readonly ArrayBufferLike[], timeoutMs?: number): Promise<Outputs | null>;
  /** Runs a session and returns its outputs. */
  run(
    session: string,
    inputs: string | null,
    tensors: Readonly<Record<string, PlainTensor>>,
    transfer?: readonly ArrayBufferLike[],
    timeoutMs?: number,
  ): Promise<Outputs>;
  /** Gives the worker something once: a second call with the key waits for the first. */
  ensure(key: string, give: () => Promise<void>): Promise<void>;
  /** Keys with a prefix that the worker has been given, least recently used first. */
  given(prefix: string): string[];
  /** Notes that the worker has lost what a key stands for. @returns whether it had it */
  lose(key: string): boolean;
  terminate(): Promise<void>;
}

export interface WorkerPoolOptions {
  readonly size: number;
  readonly create: () => EngineWorker;
}

interface Waiting {
  readonly take: (worker: EngineWorker) => void;
  readonly reject: (problem: Problem) => void;
}

/** Workers that are handed to one task at a time, first come first served. A worker that died is replaced. */
export class WorkerPool {
  readonly #workers: EngineWorker[];
  readonly #idle: EngineWorker[];
  readonly #waiting: Waiting[] = [];
  readonly #create: () => EngineWorker;
  #busy = new Set<Promise<unknown>>();
  #closed = false;

  constructor({ size, create }: WorkerPoolOptions) {
    this.#create = create;
    this.#workers = Array.from({ length: size }, create);
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
    const fresh = this.#create();
    this.#workers[this.#workers.indexOf(dead)] = fresh;
    return fresh;
  }
}

function aborted(): Problem {
  return new Problem('aborted', 'The work was aborted before it was started.');
}
