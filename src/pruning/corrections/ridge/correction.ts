import { elementOf, feasibleMerge, type Tensor, type TensorMap, totalTokens } from '../../../vit/index.ts';
import { activationMeans } from '../../activations/activation-means.ts';
import { absorbMeans } from '../../activations/mean-absorption.ts';
import {
  advance,
  allActivations,
  firstStream,
  type LastLayer,
  lastLayer,
  layerName,
  type Stream,
} from '../../activations/residual-stream.ts';
import type { Correction, PruningContext } from '../../contracts.ts';
import { range } from '../../data/ordered.ts';
import { difference, rowSquares, sum } from '../../kernels/arrays.ts';
import { parseSettings } from '../../recipe/part-settings.ts';
import { tuneLastLayers } from '../tuning/tuning.ts';
import { afterMerge, type FollowedTokens, memberMeans, unmerged } from './followed-tokens.ts';
import type { RegressionPiece } from './moments.ts';
import { ridgeChange } from './ridge.ts';
import { type RidgeSettings, RidgeSettingsSchema } from './settings.ts';
import { bestStrength, createTrial, type Trial } from './strength.ts';
import { keptInputs, lastLayerShape, type Place, type Target } from './target.ts';

/**
 * Block by block, changes `attn.proj` and `mlp.fc2` so that the level's residual stream comes close to the full
 * network's after each of them: ridge regression towards the original weights on the level's own stream, tokens
 * weighted by `1 / |stream|^2` because a LayerNorm follows. Tokens that the level merges are compared with the mean of the
 * full network's tokens that they stand for. With `epochs` biases, or weights too, are tuned
 * after it, by the level's embeddings.
 */
export function ridgeCorrection(given: unknown): Correction {
  const settings = parseSettings(RidgeSettingsSchema, given, 'correction "ridge"');
  return {
    name: 'ridge',
    async correct(context, variant, units) {
      const target = { variant, units };
      const { count } = context.images.fit;
      const images = Math.max(1, Math.min(settings.images, Math.ceil(count * FITTED_SHARE)));
      const own = { ...settings, images };
      const means = await activationMeans(context);
      const absorbed = absorbMeans(context.config, context.tensors, means, target);
      const trials = range(Math.min(settings.trials, count - images)).map((index) => images + index);
      if (trials.length === 0) return absorbed;
      const trial = await createTrial(context, target, trials);
      if ((await trial(absorbed)) >= settings.enough) return absorbed;
      const fitted = await fittedTensors(context, target, own);
      const tensors = await bestStrength(context, units, { absorbed, fitted }, trial);
      return tuned(context, target, { tensors, trial }, own);
    },
  };
}

/** The level with its last layers tuned on all pictures but those of the trial, where that is better in the trial. */
async function tuned(
  context: PruningContext,
  target: Target,
  { tensors, trial }: { readonly tensors: TensorMap; readonly trial: Trial },
  { epochs, rate, tune, trials, images }: RidgeSettings,
): Promise<TensorMap> {
  if (epochs === 0) return tensors;
  const { count } = context.images.fit;
  const pictures = range(count).filter((index) => index < images || index >= images + trials);
  const changed = await tuneLastLayers(context, target, tensors, { epochs, rate, tune, pictures });
  return (await trial(changed)) > (await trial(tensors)) ? changed : tensors;
}

/** Of few calibration images this share is fitted on and the rest decides how far to go. */
const FITTED_SHARE = 0.75;

/** The changed tensors, as the regression has them. */
async function fittedTensors(
  context: PruningContext,
  target: Target,
  settings: RidgeSettings,
): Promise<TensorMap> {
  const { config, tensors } = context;
  const corrected = new Map<string, Tensor>();
  let full = await firstStream(context, settings.images);
  let own = full.pieces.map(({ count: images, data }) => unmerged(images, data, config.width));
  // The tokens of a rotary network cannot be followed through merges: it is corrected for its units alone.
  const merges = config.rope
    ? new Array<number>(config.depth).fill(0)
    : feasibleMerge(config, target.variant);
  let changed = false;
  for (const block of range(config.depth)) {
    const entered = own;
    for (const part of ['attention', 'mlp'] as const) {
      const place = { block, part };
      const all = await allActivations(context, full, place);
      full = await advance(context, full, all, lastLayer(config, tensors, place));
      const kept = keptInputs(config, target, place);
      const layer = cut(lastLayer(config, tensors, place, target.units), kept.inputs);
      const inputs = await ownActivations(context, target, own, place);
      changed ||= kept.inputs < kept.all;
      const fixed = changed ? await fitLayer(context, { own, full, inputs, layer, place }, settings) : layer;
      if (changed) put(corrected, context, place, fixed);
      own = await advanced(context, own, inputs, fixed);
      const removed = elementOf(merges, block);
      if (part === 'attention' && removed > 0 && block < config.depth - 1) {
        own = await Promise.all(
          own.map(async (tokens, piece) => {
            const { count, data: stream } = tokens;
            const streams = { entering: elementOf(entered, piece).data, stream, ...mergedSizes(tokens) };
            return afterMerge(tokens, await context.model.merge(streams, count, { block, removed }, target));
          }),
        );
        changed = true;
      }
    }
  }
  return corrected;
}

function cut(layer: LastLayer, inputs: number): LastLayer {
  const outputs = layer.bias.length;
  return { inputs, weight: layer.weight.slice(0, inputs * outputs), bias: layer.bias };
}

async function ownActivations(
  { model, signal }: PruningContext,
  target: Target,
  own: readonly FollowedTokens[],
  place: Place,
): Promise<Float32Array[]> {
  const activations: Float32Array[] = [];
  for (const tokens of own) {
    signal?.throwIfAborted();
    const at = { ...place, ...mergedSizes(tokens) };
    activations.push(await model.activations(tokens.data, tokens.count, at, target));
  }
  return activations;
}

/** Sizes where tokens have merged: an engine that need not count them does less. */
function mergedSizes({ sizes, members }: FollowedTokens): { readonly sizes?: Float32Array } {
  return members.length > sizes.length ? { sizes } : {};
}

async function advanced(
  context: PruningContext,
  own: readonly FollowedTokens[],
  inputs: readonly Float32Array[],
  layer: LastLayer,
): Promise<FollowedTokens[]> {
  const next = await advance(context, { pieces: own }, inputs, layer);
  return own.map((tokens, piece) => ({ ...tokens, data: elementOf(next.pieces, piece).data }));
}

async function fitLayer(
  context: PruningContext,
  at: {
    readonly own: readonly FollowedTokens[];
    readonly full: Stream;
    readonly inputs: readonly Float32Array[];
    readonly layer: LastLayer;
    readonly place: Place;
  },
  settings: RidgeSettings,
): Promise<LastLayer> {
  const { config } = context;
  const { own, full, inputs, layer } = at;
  const outputs = config.width;
  const next = await advanced(context, own, inputs, layer);
  const pieces = next.map((tokens, piece): RegressionPiece => {
    const wanted = memberMeans(elementOf(full.pieces, piece).data, tokens, outputs);
    return {
      inputs: elementOf(inputs, piece),
      residual: difference(wanted, tokens.data),
      weights: tokenWeights(context, wanted, tokens, at.place, settings),
    };
  });
  const ridge = settings.kind === 'mean' ? Number.POSITIVE_INFINITY : settings.ridge;
  const change = await ridgeChange(context.model, pieces, { inputs: layer.inputs, outputs }, ridge);
  return {
    inputs: layer.inputs,
    weight: sum(layer.weight, change.weight),
    bias: sum(layer.bias, change.bias),
  };
}

/**
 * `size / |stream|^2` of every token. The tokens that pooling reads share `pooledShare` of the weight among them; in
 * the last block nothing else is read. Without `relative` tokens of very large norm decide the fit.
 */
function tokenWeights(
  { config }: PruningContext,
  wanted: Float32Array,
  { count, sizes }: FollowedTokens,
  { block }: Place,
  { pooledShare, relative: weighted }: RidgeSettings,
): Float32Array {
  const tokens = sizes.length / count;
  const read = config.pool === 'cls' ? 1 : config.pool === 'cls-distillation' ? 2 : 0;
  const last = block === config.depth - 1;
  const patches = totalTokens(config) - read;
  const share = last ? 1 : pooledShare;
  const squares = rowSquares(wanted, config.width);
  return sizes.map((size, at) => {
    const square = elementOf(squares, at);
    const relative = !weighted ? 1 : square > 0 ? 1 / square : 0;
    if (read === 0) return size * relative;
    return at % tokens < read ? (share / read) * relative : ((1 - share) / patches) * size * relative;
  });
}

function put(
  corrected: Map<string, Tensor>,
  { config }: PruningContext,
  { block, part }: Place,
  { inputs, weight, bias }: LastLayer,
): void {
  const name = layerName(block, part);
  const shape = [...lastLayerShape(config, part, inputs)];
  if (inputs > 0) corrected.set(`${name}.weight`, { shape, data: weight });
  corrected.set(`${name}.bias`, { shape: [config.width], data: bias });
}
