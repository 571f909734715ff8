import type { OnnxGraph } from '../../network/index.ts';
import { Problem } from '../../problem/index.ts';
import type { Command, Outputs, PlainTensor } from '../commands.ts';
import { type BoundInputs, Executor, type Runtime } from '../executor.ts';
import { GivenOnce } from '../given-to-worker.ts';
import type { EngineWorker } from '../worker-pool.ts';

/** Carries out engine commands in this very isolate, one after the other: where there are no threads, or none are of use. */
export class IsolateWorker<Inputs extends BoundInputs> extends GivenOnce implements EngineWorker {
  readonly #name: string;
  readonly #executor: Executor<OnnxGraph, Inputs>;
  #last: Promise<unknown> = Promise.resolve();
  #ended: Problem | undefined;

  /** @param name of the runtime, for what is said of its faults */
  constructor(name: string, runtime: Runtime<OnnxGraph, Inputs>) {
    super();
    this.#name = name;
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
      throw new Problem('engine-failed', `${this.#name} failed: ${reason}`, {}, { cause });
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
