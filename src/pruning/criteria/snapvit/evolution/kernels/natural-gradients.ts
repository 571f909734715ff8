import { Matrix } from 'ml-matrix';

/**
 * Natural gradients of a generation: `G_delta = sum u z` and `G_M = sum u (z z' - I)`, utilities by rank of fitness.
 * @param drawn the individuals' `z`
 * @param fitness of each, smaller is better; equal ones keep the order in which they were drawn
 * @param utilities best rank first
 */
export function naturalGradients(
  drawn: readonly Float64Array[],
  fitness: readonly number[],
  utilities: readonly number[],
  n: number,
): { step: Float64Array; shapeStep: Matrix } {
  const ranked = drawn
    .map((z, index) => ({ z, fitness: fitness[index], index }))
    .sort((a, b) => a.fitness - b.fitness || a.index - b.index);
  const step = new Float64Array(n);
  const shapeStep = Matrix.zeros(n, n);
  for (const [rank, { z }] of ranked.entries()) {
    const utility = utilities[rank];
    for (let i = 0; i < n; i++) {
      step[i] += utility * z[i];
      for (let j = 0; j < n; j++) {
        const outer = z[i] * z[j] - (i === j ? 1 : 0);
        shapeStep.set(i, j, shapeStep.get(i, j) + utility * outer);
      }
    }
  }
  return { step, shapeStep };
}
