import { z } from 'zod';
import type { ActivationMeans } from '../../engine/index.ts';
import type { PruningContext } from '../contracts.ts';
import { range } from '../data/ordered.ts';
import { addColumns } from '../kernels/arrays.ts';
import { stepName } from '../steps/step-name.ts';
import { jsonStep } from '../steps/step-store.ts';
import { advance, allActivations, firstStream, lastLayer } from './residual-stream.ts';

/** Pictures that means are taken over: some thousands of tokens. */
const IMAGES = 32;

const rows = z.array(z.array(z.number()).transform((row) => Float32Array.from(row)));
const MeansSchema = z.strictObject({ heads: rows, channels: rows });

/**
 * Mean of what `attn.proj` and `mlp.fc2` read in the full network, over tokens and the first pictures for fitting. A step of
 * its own: every part of the recipe needs it.
 */
export function activationMeans(context: PruningContext): Promise<ActivationMeans> {
  const parse = (json: unknown): ActivationMeans => MeansSchema.parse(json);
  const plain = (means: readonly Float32Array[]) => means.map((row) => Array.from(row));
  return jsonStep(
    context.steps,
    stepName('activation-means', {}),
    parse,
    () => measureMeans(context),
    ({ heads, channels }) => ({ heads: plain(heads), channels: plain(channels) }),
  );
}

async function measureMeans(context: PruningContext): Promise<ActivationMeans> {
  const { config, tensors } = context;
  const means = { heads: [] as Float32Array[], channels: [] as Float32Array[] };
  let stream = await firstStream(context, Math.min(IMAGES, context.images.fit.count));
  for (const block of range(config.depth)) {
    for (const part of ['attention', 'mlp'] as const) {
      const activations = await allActivations(context, stream, { block, part });
      const layer = lastLayer(config, tensors, { block, part });
      means[part === 'attention' ? 'heads' : 'channels'].push(columnMeans(activations, layer.inputs));
      stream = await advance(context, stream, activations, layer);
    }
  }
  return means;
}

function columnMeans(pieces: readonly Float32Array[], columns: number): Float32Array {
  const sums = new Float64Array(columns);
  let rows = 0;
  for (const piece of pieces) {
    addColumns(sums, piece);
    rows += piece.length / columns;
  }
  return Float32Array.from(sums, (sum) => sum / Math.max(1, rows));
}
