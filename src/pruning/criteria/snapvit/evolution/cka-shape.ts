import { CholeskyDecomposition, Matrix } from 'ml-matrix';
import { elementOf } from '../../../../vit/index.ts';
import {
  advance,
  allActivations,
  firstStream,
  lastLayer,
  type Stream,
} from '../../../activations/residual-stream.ts';
import type { PruningContext } from '../../../contracts.ts';
import { range } from '../../../data/ordered.ts';
import type { EvolutionSettings } from '../../../recipe/schema.ts';
import { ckaMatrix } from './kernels/cka.ts';
import { nearestCorrelation } from './nearest-correlation.ts';

interface Representation {
  readonly data: Float32Array;
  readonly features: number;
}

/** Images whose [CLS] activations are compared: the Gram matrices of all units are held at once. */
const IMAGES = 128;

/**
 * Starting shape of the evolution from the alignment of units (an ablation of Simoncini et al. 2025): linear CKA between the first
 * token's activations of every pair of MLPs and heads, made a correlation matrix, and its Cholesky factor.
 * @returns lower triangular, in the order of the factors: the B MLPs, then the heads block by block
 */
export async function ckaShape(context: PruningContext, settings: EvolutionSettings): Promise<Matrix> {
  const { config } = context;
  const count = Math.min(IMAGES, settings.images, context.images.fit.count);
  const mlps: Representation[] = [];
  const heads: Representation[] = [];
  let stream = await firstStream(context, count);
  const step = context.report.step('alignment of units', config.depth);
  for (const block of range(config.depth)) {
    for (const part of ['attention', 'mlp'] as const) {
      const activations = await allActivations(context, stream, { block, part });
      const layer = lastLayer(config, context.tensors, { block, part });
      const own = part === 'attention' ? heads : mlps;
      own.push(...firstTokens(stream, activations, layer.inputs, part === 'attention' ? config.heads : 1));
      stream = await advance(context, stream, activations, layer);
    }
    step.advance(block + 1);
  }
  step.end();
  const n = mlps.length + heads.length;
  const alignment = ckaMatrix([...mlps, ...heads], count);
  const matrix = Matrix.from1DArray(n, n, Array.from(alignment));
  return new CholeskyDecomposition(nearestCorrelation(matrix)).lowerTriangularMatrix;
}

/** The activations of the first token of every image, cut into `parts` representations of equal width. */
function firstTokens(
  stream: Stream,
  activations: readonly Float32Array[],
  width: number,
  parts: number,
): Representation[] {
  const features = width / parts;
  const images = stream.pieces.reduce((sum, piece) => sum + piece.count, 0);
  const cut = range(parts).map(() => new Float32Array(images * features));
  let image = 0;
  for (const [index, piece] of stream.pieces.entries()) {
    const rows = elementOf(activations, index);
    const perImage = rows.length / piece.count;
    for (let own = 0; own < piece.count; own++, image++) {
      for (const [part, data] of cut.entries()) {
        const start = own * perImage + part * features;
        data.set(rows.subarray(start, start + features), image * features);
      }
    }
  }
  return cut.map((data) => ({ data, features }));
}
