import type { AnalysisVariant } from '../../engine/index.ts';
import {
  contextUnits,
  elementOf,
  fullVariant,
  orderOf,
  type TensorMap,
  tensorOf,
  type UnitOrder,
  type VitConfig,
} from '../../vit/index.ts';
import type { PruningContext } from '../contracts.ts';
import { groups, range } from '../data/ordered.ts';
import { addStreamAndBias, gathered } from '../kernels/arrays.ts';

/** Half of a block: attention, which `attn.proj` ends, or the MLP, which `mlp.fc2` ends. */
export type Part = 'attention' | 'mlp';

/** Residual streams of some images at one place of the network, in pieces that fit an engine call. */
export interface Stream {
  readonly pieces: readonly StreamPiece[];
}

export interface StreamPiece {
  readonly count: number;
  /** `[count, T, D]` */
  readonly data: Float32Array;
}

const IMAGES_PER_PIECE = 8;

/** The residual streams that enter the first block, for the first `count` pictures for fitting. */
export async function firstStream(context: PruningContext, count: number): Promise<Stream> {
  const pieces: StreamPiece[] = [];
  for (const batch of groups(range(count), IMAGES_PER_PIECE)) {
    context.signal?.throwIfAborted();
    const pixels = await context.images.fit.pixels(batch);
    pieces.push({ count: batch.length, data: await context.model.embedTokens(pixels, batch.length) });
  }
  return { pieces };
}

/**
 * What the last layer of a half block reads when all units are there, in the given order: `[rows, units * width]`. Or what its first
 * layer reads: `[rows, D]`.
 */
export async function allActivations(
  { config, model, signal }: PruningContext,
  stream: Stream,
  place: { readonly block: number; readonly part: Part; readonly layer?: 'first' | 'last' },
  units?: UnitOrder,
): Promise<Float32Array[]> {
  const network: AnalysisVariant = { variant: fullVariant(config), ...(units ? { units } : {}) };
  const activations: Float32Array[] = [];
  for (const piece of stream.pieces) {
    signal?.throwIfAborted();
    activations.push(await model.activations(piece.data, piece.count, place, network));
  }
  return activations;
}

/** The last layer of a half block: `[inputs, D]` weight, input-first, and bias. */
export interface LastLayer {
  readonly inputs: number;
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

/** The stream after the half block: `stream + activations x weight + bias`. */
export async function advance(
  { model }: Pick<PruningContext, 'model'>,
  stream: Stream,
  activations: readonly Float32Array[],
  layer: LastLayer,
): Promise<Stream> {
  const D = layer.bias.length;
  const pieces: StreamPiece[] = [];
  for (const [index, piece] of stream.pieces.entries()) {
    const rows = piece.data.length / D;
    const input = elementOf(activations, index);
    const added =
      layer.inputs > 0
        ? await model.product(input, layer.weight, { rows, inner: layer.inputs, columns: D })
        : new Float32Array(rows * D);
    addStreamAndBias(added, piece.data, layer.bias);
    pieces.push({ count: piece.count, data: added });
  }
  return { pieces };
}

/** The units that the last layer reads, and how many inputs each gives: `dh` of a head, `H` of a value dimension, 1 of a channel. */
export function inputUnits(
  config: VitConfig,
  part: Part,
): { readonly kind: 'heads' | 'values' | 'channels'; readonly width: number } {
  return part === 'attention' ? contextUnits(config) : { kind: 'channels', width: 1 };
}

/**
 * The last layer with its units in the given order (default: as stored).
 * @throws Problem('tensor-mismatch') when the network lacks it
 */
export function lastLayer(
  config: VitConfig,
  tensors: TensorMap,
  { block, part }: { readonly block: number; readonly part: Part },
  units?: UnitOrder,
): LastLayer {
  const name = layerName(block, part);
  const [weight, bias] = [tensorOf(tensors, `${name}.weight`), tensorOf(tensors, `${name}.bias`)];
  const { kind, width } = inputUnits(config, part);
  const order = units && orderOf(units, kind, block);
  const size = width * config.width;
  const inputs = weight.data.length / config.width;
  return { inputs, weight: order ? gathered(weight.data, order, size) : weight.data, bias: bias.data };
}

/** `blocks.i.attn.proj` or `blocks.i.mlp.fc2`. */
export function layerName(block: number, part: Part): string {
  return `blocks.${block}.${part === 'attention' ? 'attn.proj' : 'mlp.fc2'}`;
}

/** The first `kept` of `width` columns of every row. */
export function firstColumns(rows: Float32Array, width: number, kept: number): Float32Array {
  if (kept === width) return rows;
  const count = rows.length / width;
  const cut = new Float32Array(count * kept);
  for (let row = 0; row < count; row++) cut.set(rows.subarray(row * width, row * width + kept), row * kept);
  return cut;
}
