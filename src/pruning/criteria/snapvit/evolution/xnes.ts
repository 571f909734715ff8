import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import type { Random } from '../../../data/random.ts';
import { addInto } from '../../../kernels/arrays.ts';
import { naturalGradients } from './kernels/natural-gradients.ts';

export interface XnesOptions {
  /** Where the search starts. */
  readonly mean: readonly number[];
  /** Starting shape `A` (n x n) with covariance `A A'`; absent: the identity. */
  readonly shape?: Matrix;
  /** Individuals of a generation. @default 4 + floor(3 ln n) */
  readonly population?: number;
  readonly random: Random;
}

/** Ask-and-tell search: `ask` draws a generation, `tell` learns from its fitnesses (smaller is better). */
export interface Xnes {
  readonly population: number;
  /** The mean of the present distribution. */
  readonly mean: Float64Array;
  /** Draws the individuals of one generation. */
  ask(): Float64Array[];
  /** @param fitness of the individuals of the last `ask`, in their order */
  tell(fitness: readonly number[]): void;
}

export function defaultPopulation(n: number): number {
  return 4 + Math.floor(3 * Math.log(n));
}

/**
 * Exponential natural evolution strategies (Glasmachers, Schaul, Sun, Wierstra & Schmidhuber, GECCO 2010), with its
 * default utilities and learning rates: individuals `x = mu + sigma B z`, natural gradients
 * `G_delta = sum u z` and `G_M = sum u (z z' - I)`, split into scale `G_sigma = tr(G_M) / n` and shape
 * `G_B = G_M - G_sigma I`; then `mu += eta_mu sigma B G_delta`, `sigma *= exp(eta_sigma G_sigma / 2)`,
 * `B *= exp(eta_B G_B / 2)`. As the default `eta_sigma = eta_B`, scale and shape are one matrix `A = sigma B` here.
 */
export function createXnes(options: XnesOptions): Xnes {
  const n = options.mean.length;
  const population = options.population ?? defaultPopulation(n);
  const utilities = xnesUtilities(population);
  const rate = xnesRate(n);
  const mean = Float64Array.from(options.mean);
  let shape = options.shape?.clone() ?? Matrix.eye(n);
  let drawn: Float64Array[] = [];

  return {
    population,
    mean,
    ask() {
      drawn = Array.from({ length: population }, () =>
        Float64Array.from({ length: n }, () => options.random.normal()),
      );
      return drawn.map((z) => {
        const moved = shape.mmul(Matrix.columnVector(z)).to1DArray();
        const individual = Float64Array.from(mean);
        addInto(individual, moved);
        return individual;
      });
    },
    tell(fitness) {
      if (fitness.length !== drawn.length)
        throw new RangeError('one fitness for every individual of the last ask');
      const { step, shapeStep } = naturalGradients(drawn, fitness, utilities, n);
      const moved = shape.mmul(Matrix.columnVector(step)).to1DArray();
      addInto(mean, moved);
      shape = shape.mmul(exponential(shapeStep.mul(rate / 2)));
    },
  };
}

/** Rank-based utilities: `max(0, ln(lambda/2 + 1) - ln i)`, normalised, less `1 / lambda`; best rank first. */
export function xnesUtilities(population: number): number[] {
  const raw = Array.from({ length: population }, (_, i) =>
    Math.max(0, Math.log(population / 2 + 1) - Math.log(i + 1)),
  );
  const sum = raw.reduce((total, value) => total + value, 0);
  return raw.map((value) => value / sum - 1 / population);
}

/** Default learning rate of scale and shape: `(9 + 3 ln n) / (5 n sqrt(n))`; that of the mean is 1. */
export function xnesRate(n: number): number {
  return (9 + 3 * Math.log(n)) / (5 * n * Math.sqrt(n));
}

/** `exp` of a symmetric matrix through its eigenvalues. */
export function exponential(symmetric: Matrix): Matrix {
  const eigen = new EigenvalueDecomposition(symmetric, { assumeSymmetric: true });
  const vectors = eigen.eigenvectorMatrix;
  const scaled = vectors.clone();
  for (const [column, value] of eigen.realEigenvalues.entries()) scaled.mulColumn(column, Math.exp(value));
  return scaled.mmul(vectors.transpose());
}
