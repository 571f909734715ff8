import { Problem } from '../../../problem/index.ts';
import type { Command, Outputs, PlainTensor } from '../../commands.ts';
import { Executor } from '../../executor.ts';
import { GivenOnce } from '../../given-to-worker.ts';
import type { EngineWorker } from '../../worker-pool.ts';
import type { WebRuntime } from './runtime.ts';

/** Carries out engine commands in this very isolate, one after the other: a Worker has no threads. */
export class IsolateWorker extends GivenOnce implements EngineWorker {
  readonly #executor: Executor;
  #last: Promise<unknown> = Promise.resolve();
  #ended: Problem | undefined;

  constructor(runtime: WebRuntime) {
    super();
    this.#executor = new Executor(runtime);
  }

  get alive(): boolean {
    return this.#ended === undefined;
  }

  async send(command: Command): Promise<Outputs | null> {
    if (this.#ended) throw this.#ended;
    const done = this.#last.then(() => this.#executor.execute(command));
    this.#last = done.catch(() => {});
    try {
      return await done;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new Problem('engine-failed', `ONNX Runtime failed: ${reason}`, {}, { cause });
    }
  }

  async run(
    session: string,
    inputs: string | null,
    tensors: Readonly<Record<string, PlainTensor>>,
  ): Promise<Outputs> {
    return (await this.send({ kind: 'run', session, inputs, tensors })) ?? {};
  }

  async terminate(): Promise<void> {
    this.#ended ??= new Problem('engine-failed', 'The engine was disposed.');
    await this.#last;
    await this.#executor.dispose();
  }
}
