import { type ChildProcess, fork } from 'node:child_process';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Problem } from '../problem/index.ts';
import { type DecodeCommand, type DecodeLimits, type DecodeReply, EXIT } from './decode-messages.ts';

/** The file beside this one, as source or as compiled. */
const CHILD_FILE = new URL(
  import.meta.url.endsWith('.ts') ? './decode-child.ts' : './decode-child.js',
  import.meta.url,
);
/** Below everything that callers wait for: large pictures take what is left of the processor. */
const NICE = 10;
/** A process that nobody has needed for so long is ended, ms. */
const IDLE_MS = 60_000;
/** A process that does not even end itself is ended after so long, and so many times the processor time that a picture may take. */
const [PATIENCE_MS, PATIENCE] = [20_000, 6];

export const DECODE_LIMITS: DecodeLimits = { cpuMs: 10_000, memoryBytes: 2 ** 30 };

/** One process that decodes one picture at a time. It is started when it is needed first, and again after it has ended. */
export class DecodeProcess {
  readonly #limits: DecodeLimits;
  #child: ChildProcess | undefined;
  #idle: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(limits: DecodeLimits = DECODE_LIMITS) {
    this.#limits = limits;
  }

  /** Of the running process; `undefined` while there is none. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * @throws Problem('undecodable-image'), also for a picture that takes more than it may, or that ends the process; the signal's reason,
   *   when it fires: the process is ended then
   */
  async decode(command: DecodeCommand, signal?: AbortSignal): Promise<Float32Array> {
    signal?.throwIfAborted();
    if (this.#closed) throw new Problem('aborted', 'The decoder was closed.');
    clearTimeout(this.#idle);
    const child = this.#child ?? this.#start();
    const { promise, resolve, reject } = Promise.withResolvers<DecodeReply>();
    const onExit = (code: number | null) => reject(this.#ended(code));
    const onError = () => reject(this.#ended(null));
    const onAbort = () => {
      child.kill('SIGKILL');
      reject(signal?.reason);
    };
    const patience = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS + PATIENCE * this.#limits.cpuMs);
    child.once('message', resolve);
    child.once('exit', onExit);
    child.once('error', onError);
    signal?.addEventListener('abort', onAbort, { once: true });
    child.ref();
    child.channel?.ref();
    try {
      child.send(command);
      const reply = await promise;
      if ('pixels' in reply) return reply.pixels;
      throw new Problem(reply.code, reply.message, reply.details);
    } finally {
      clearTimeout(patience);
      child.off('message', resolve);
      child.off('exit', onExit);
      child.off('error', onError);
      signal?.removeEventListener('abort', onAbort);
      child.unref();
      child.channel?.unref();
      this.#idle = setTimeout(() => this.#end(), IDLE_MS);
      this.#idle.unref();
    }
  }

  close(): void {
    this.#closed = true;
    this.#end();
  }

  #end(): void {
    clearTimeout(this.#idle);
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }

  #start(): ChildProcess {
    const child = fork(fileURLToPath(CHILD_FILE), [JSON.stringify(this.#limits)], {
      serialization: 'advanced',
      // Not the flags of this process: a debugger's port, or a heap that is too small.
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const forget = () => {
      if (this.#child === child) this.#child = undefined;
    };
    child.once('exit', forget);
    // Otherwise thrown by a process that could not be started, or a pipe that broke.
    child.on('error', forget);
    try {
      if (child.pid !== undefined) setPriority(child.pid, NICE);
    } catch {
      // It has ended already, which is told by its exit.
    }
    this.#child = child;
    return child;
  }

  #ended(code: number | null): Problem {
    const { cpuMs, memoryBytes } = this.#limits;
    const why =
      code === EXIT.cpu
        ? `decoding it takes more than ${cpuMs / 1000} s of a processor`
        : code === EXIT.memory
          ? `decoding it takes more than ${Math.round(memoryBytes / 2 ** 20)} MiB of memory`
          : 'its decoder broke down';
    return new Problem(
      'undecodable-image',
      `The image cannot be decoded: ${why}. Scale it down first, or save it in another format.`,
    );
  }
}
