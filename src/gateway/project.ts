import type { Components } from '../checkpoint/index.ts';
import { Problem } from '../problem/index.ts';
import type { ServedModel } from '../serving/index.ts';

/** How a vector leaves the gateway. */
export interface VectorOptions {
  /** The first so many principal components of the full network's embeddings; all of the embedding if absent. */
  readonly dimensions?: number | undefined;
  /** Scaled to length 1. */
  readonly normalize: boolean;
}

/** @throws Problem('unsupported-dimensions') */
export function checkDimensions(model: ServedModel, dimensions: number | undefined): void {
  if (dimensions === undefined) return;
  const width = model.config.embeddingWidth;
  const count = model.components?.count ?? 0;
  if (dimensions === width || dimensions <= count) return;
  throw new Problem(
    'unsupported-dimensions',
    count === 0
      ? `Model "${model.name}" keeps no principal components: leave "dimensions" out (${width} numbers).`
      : `Model "${model.name}" gives 1 to ${count} dimensions, or all ${width}.`,
    { dimensions: count, width },
  );
}

/**
 * @param embedding `[width]`, as the network gave it
 * @returns `[dimensions]`; with components `C` and their mean `m` it is `C (x - m)`, then scaled if asked for
 */
export function project(
  embedding: Float32Array,
  components: Components | undefined,
  { dimensions, normalize }: VectorOptions,
): Float32Array {
  const vector =
    dimensions === undefined || dimensions === embedding.length || !components
      ? embedding.slice()
      : principal(embedding, components, dimensions);
  return normalize ? unit(vector) : vector;
}

function principal(embedding: Float32Array, { mean, matrix }: Components, dimensions: number): Float32Array {
  const width = embedding.length;
  return Float32Array.from({ length: dimensions }, (_, row) => {
    let sum = 0;
    for (let i = 0; i < width; i++)
      sum += (matrix[row * width + i] ?? 0) * ((embedding[i] ?? 0) - (mean[i] ?? 0));
    return sum;
  });
}

function unit(vector: Float32Array): Float32Array {
  let squares = 0;
  for (const value of vector) squares += value * value;
  const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0;
  return vector.map((value) => value * scale);
}
