import type { Worker, WorkerOptions } from 'node:worker_threads';

type WorkerThreads = typeof import('node:worker_threads');

/** Engine threads that were started and have not ended, oldest first. */
export const engineThreads: Worker[] = [];

/**
 * `node:worker_threads` whose workers can be seen, killed and made to hang (message `hang`) by a test:
 * `vi.mock('node:worker_threads', async (original) => (await import('./engine-threads.ts')).watched(await original()))`
 */
export function watched(actual: WorkerThreads): WorkerThreads {
  return {
    ...actual,
    Worker: class extends actual.Worker {
      constructor(_file: URL, options: WorkerOptions) {
        super(new URL('./hangable-worker.ts', import.meta.url), options);
        engineThreads.push(this);
        this.once('exit', () => engineThreads.splice(engineThreads.indexOf(this), 1));
      }
    },
  };
}
