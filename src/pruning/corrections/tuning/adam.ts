/** Decay of the averages of gradients and of their squares. */
const DECAY = [0.9, 0.99] as const;
const EPSILON = 1e-8;

/** Adam (Kingma & Ba 2015, algorithm 1) on arrays that it changes in place. */
export class Adam {
  readonly #parameters: readonly Float32Array[];
  readonly #first: readonly Float32Array[];
  readonly #second: readonly Float32Array[];
  #steps = 0;

  constructor(parameters: readonly Float32Array[]) {
    this.#parameters = parameters;
    this.#first = parameters.map(({ length }) => new Float32Array(length));
    this.#second = parameters.map(({ length }) => new Float32Array(length));
  }

  /** @param gradients of the parameters, in their order */
  step(gradients: readonly Float32Array[], rate: number): void {
    this.#steps++;
    const [a, b] = DECAY;
    const [correctFirst, correctSecond] = [1 - a ** this.#steps, 1 - b ** this.#steps];
    for (const [index, parameter] of this.#parameters.entries()) {
      const [gradient, first, second] = [gradients[index], this.#first[index], this.#second[index]];
      if (!gradient || !first || !second) continue;
      for (let i = 0; i < parameter.length; i++) {
        const g = gradient[i] ?? 0;
        const m = a * (first[i] ?? 0) + (1 - a) * g;
        const v = b * (second[i] ?? 0) + (1 - b) * g * g;
        first[i] = m;
        second[i] = v;
        parameter[i] =
          (parameter[i] ?? 0) - (rate * (m / correctFirst)) / (Math.sqrt(v / correctSecond) + EPSILON);
      }
    }
  }
}
