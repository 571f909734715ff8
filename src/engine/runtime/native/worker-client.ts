import { Worker } from 'node:worker_threads';
import { Problem } from '../../../problem/index.ts';
import type { Command, Outputs, PlainTensor } from '../../commands.ts';
import { GivenOnce } from '../../given-to-worker.ts';
import type { EngineWorker } from '../../worker-pool.ts';
import { encoded } from '../encoded.ts';
import type { Reply, Request } from './messages.ts';
import { NativeCalls } from './native-calls.ts';

/** The worker's file beside this one, as source or as compiled. */
const WORKER_FILE = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);

/** Nobody waits longer than this for a thread to come back from a native call, ms. */
const STUCK_MS = 10_000;

/**
 * The end of the thread that was told to end last. A thread frees its sessions as it ends, and sessions of several threads that
 * are freed at once corrupt the memory that ONNX Runtime's WebGPU provider shares between them.
 */
let turn = Promise.resolve();

interface Waiting {
  readonly resolve: (outputs: Outputs | null) => void;
  readonly reject: (problem: Problem) => void;
  readonly timer: NodeJS.Timeout | undefined;
}

/** One engine thread, as its owner sees it. Commands are carried out in the order in which they are sent. */
export class EngineThread extends GivenOnce implements EngineWorker {
  readonly #worker: Worker;
  readonly #calls = new NativeCalls();
  readonly #exit: Promise<void>;
  readonly #waiting = new Map<number, Waiting>();
  readonly #timeoutMs: number;
  #next = 0;
  #ended: Problem | undefined;

  /** @param timeoutMs after which a command counts as hung and the worker is ended */
  constructor(timeoutMs: number) {
    super();
    this.#timeoutMs = timeoutMs;
    this.#worker = new Worker(WORKER_FILE, { workerData: this.#calls.shared });
    this.#worker.unref();
    this.#exit = new Promise((done) => this.#worker.once('exit', () => done()));
    this.#worker.on('message', (reply: Reply) => this.#settle(reply));
    this.#worker.on('error', (error) => this.#end(`The engine worker failed: ${error.message}`));
    this.#worker.on('exit', (code) => this.#end(`The engine worker ended with exit code ${code}.`));
  }

  get alive(): boolean {
    return this.#ended === undefined;
  }

  /** Thread id, for tests that end a worker from outside. */
  get threadId(): number {
    return this.#worker.threadId;
  }

  send(
    command: Command,
    transfer: readonly ArrayBufferLike[] = [],
    timeoutMs = this.#timeoutMs,
  ): Promise<Outputs | null> {
    if (this.#ended) return Promise.reject(this.#ended);
    const { promise, resolve, reject } = Promise.withResolvers<Outputs | null>();
    const id = this.#next++;
    // After a stall of this thread the timer is looked at before the answer that came meanwhile.
    const timer = setTimeout(() => setImmediate(() => this.#hung(id, command, timeoutMs)), timeoutMs);
    this.#waiting.set(id, { resolve, reject, timer });
    this.#worker.ref();
    const request: Request = {
      id,
      command: command.kind === 'open' ? { ...command, model: encoded(command.model) } : command,
    };
    this.#worker.postMessage(
      request,
      transfer.filter((buffer) => buffer instanceof ArrayBuffer),
    );
    return promise;
  }

  async run(
    session: string,
    inputs: string | null,
    tensors: Readonly<Record<string, PlainTensor>>,
    transfer: readonly ArrayBufferLike[] = [],
    timeoutMs = this.#timeoutMs,
  ): Promise<Outputs> {
    return (await this.send({ kind: 'run', session, inputs, tensors }, transfer, timeoutMs)) ?? {};
  }

  /**
   * Ends the thread: at once, or after the native call that it is in; of one that is stuck there it is let go of. Threads end one
   * after another.
   */
  terminate(): Promise<void> {
    this.#end('The engine was disposed.');
    turn = turn.then(() => this.#stopped());
    return turn;
  }

  async #stopped(): Promise<void> {
    this.#stop();
    const { promise: patience, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, STUCK_MS);
    await Promise.race([this.#exit, patience]);
    clearTimeout(timer);
  }

  #stop(): void {
    if (this.#calls.ask()) void this.#worker.terminate();
  }

  #hung(id: number, command: Command, timeoutMs: number): void {
    if (!this.#waiting.has(id)) return;
    this.#end(`The engine worker did not finish "${command.kind}" within ${timeoutMs} ms; it was ended.`);
    this.#stop();
  }

  #settle(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id);
    if (!waiting) return;
    this.#waiting.delete(reply.id);
    clearTimeout(waiting.timer);
    if (this.#waiting.size === 0) this.#worker.unref();
    if ('error' in reply) waiting.reject(new Problem('engine-failed', `ONNX Runtime failed: ${reply.error}`));
    else waiting.resolve(reply.outputs);
  }

  #end(message: string): void {
    this.#ended ??= new Problem('engine-failed', message);
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(this.#ended);
    }
    this.#waiting.clear();
    // Nobody waits for a thread that may be stuck.
    this.#worker.unref();
  }
}
