/**
 * Lets a thread be ended by its owner without breaking into a native call: ONNX Runtime's binding aborts the whole process when its
 * thread is terminated meanwhile. Both sides look at the same two numbers; each writes its own before it reads the other's, so that
 * one of them sees that the thread has to end.
 */
export class NativeCalls {
  readonly #state: Int32Array;

  /** @param shared 8 bytes, zero at first, that both sides hold */
  constructor(shared = new SharedArrayBuffer(8)) {
    this.#state = new Int32Array(shared);
  }

  /** For the other side. */
  get shared(): SharedArrayBuffer {
    return this.#state.buffer as SharedArrayBuffer; // the constructor's
  }

  /**
   * Of the owner: asks the thread to end.
   * @returns whether it may be terminated at once; otherwise it ends by itself after the call that it is in
   */
  ask(): boolean {
    Atomics.store(this.#state, ASKED, 1);
    return Atomics.load(this.#state, INSIDE) === 0;
  }

  /** Of the thread: makes native calls, and ends the thread before or after them when it has been asked to. */
  async make<T>(calls: () => Promise<T>, end: () => never): Promise<T> {
    Atomics.store(this.#state, INSIDE, 1);
    this.#endIfAsked(end);
    try {
      return await calls();
    } finally {
      Atomics.store(this.#state, INSIDE, 0);
      this.#endIfAsked(end);
    }
  }

  #endIfAsked(end: () => never): void {
    if (Atomics.load(this.#state, ASKED) === 1) end();
  }
}

const INSIDE = 0;
const ASKED = 1;
