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

  /**
   * @param gradients of the parameters, in their order
   * @throws RangeError when one is missing or of another length
   */
  step(gradients: readonly Float32Array[], rate: number): void {
    this.#steps++;
    const [a, b] = DECAY;
    const [correctFirst, correctSecond] = [1 - a ** this.#steps, 1 - b ** this.#steps];
    for (const [index, parameter] of this.#parameters.entries()) {
      const [gradient, first, second] = [gradients[index], this.#first[index], this.#second[index]];
      if (gradient?.length !== parameter.length)
        throw new RangeError(
          `There is no gradient for each of the ${parameter.length} numbers of parameter ${index}.`,
        );
      for (let i = 0; i < parameter.length; i++) {
        const g = gradient[i];
        const m = a * first[i] + (1 - a) * g;
        const v = b * second[i] + (1 - b) * g * g;
        first[i] = m;
        second[i] = v;
        parameter[i] -= (rate * (m / correctFirst)) / (Math.sqrt(v / correctSecond) + EPSILON);
      }
    }
  }
}
