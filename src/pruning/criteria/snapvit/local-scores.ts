import type { AnalysisModel, Gradients } from '../../../engine/index.ts';
import { Problem } from '../../../problem/index.ts';
import { elementOf } from '../../../vit/index.ts';
import type { PruningContext, UnitScores } from '../../contracts.ts';
import { groups, ordered, range } from '../../data/ordered.ts';
import { cropPixels, planViews, type ViewSettings } from '../../data/views.ts';
import { addInto } from '../../kernels/arrays.ts';
import { addMeanSquares, addRowTo } from './kernels/gradient-sums.ts';
import { snapvitLoss } from './kernels/loss.ts';

/**
 * How gradients of several images become one score.
 * - `sum`: the square of the gradient summed over all batches (the authors' code)
 * - `fisher`: the sum of the squared gradients of the batches (the paper's text)
 * - `fisher-per-image`: the same with every image as its own batch; does not depend on the batch size
 */
export type Accumulate = 'sum' | 'fisher' | 'fisher-per-image';

export interface LocalScoreSettings {
  /** Calibration images used; all there are when there are fewer. */
  readonly images: number;
  /** Images of one batch: their losses are averaged. */
  readonly batch: number;
  readonly accumulate: Accumulate;
  readonly views: ViewSettings;
}

/** Views of one image: pixels of the distinct crops, and the crop of every view, teachers first. */
export interface ImageViews {
  /** `[crops, 3, size, size]` */
  readonly pixels: Float32Array;
  readonly crops: number;
  readonly views: readonly number[];
  readonly teachers: number;
}

/** The loss summed over images, with dL/dW summed over them. */
export interface WeightGradients {
  readonly loss: number;
  /** Per block `[M, D]`. */
  readonly fc1: readonly Float32Array[];
  /** Per block `[H, dh, D]`. */
  readonly value: readonly Float32Array[];
}

/** Crops embedded by one engine call, at most (an image with more views gets a call of its own). */
const CROPS_PER_CALL = 16;
/** Engine calls in progress at a time: enough to keep the workers of a small machine busy. */
const CALLS_IN_PROGRESS = 4;

/** The views of one calibration image, cut out of its picture. */
export async function imageViews(
  context: Pick<PruningContext, 'config' | 'images' | 'seed'>,
  image: number,
  settings: ViewSettings,
): Promise<ImageViews> {
  const picture = await context.images.fit.picture(image);
  const plan = planViews(picture, settings, context.seed, image);
  const pixels = await cropPixels(picture, plan.crops, context.config);
  return { pixels, crops: plan.crops.length, views: plan.views, teachers: settings.global.count };
}

/** SnapViT's loss over some images and its gradient with respect to the scored weights (Simoncini et al. 2025, section 3). */
export async function weightGradients(
  model: AnalysisModel,
  images: readonly ImageViews[],
): Promise<WeightGradients> {
  const crops = images.reduce((sum, image) => sum + image.crops, 0);
  const pixels = concatenate(images.map((image) => image.pixels));
  const embeddings = await model.embed(pixels, crops);
  const width = model.config.embeddingWidth;
  const cotangents = new Float32Array(crops * width);
  let [loss, first] = [0, 0];
  for (const image of images) {
    const own = embeddings.subarray(first * width, (first + image.crops) * width);
    const result = cropLoss(own, image, width);
    loss += result.loss;
    cotangents.set(result.gradient, first * width);
    first += image.crops;
  }
  const gradients = await model.gradients(pixels, crops, cotangents, { weights: true });
  return { loss, ...present(gradients) };
}

/** The loss over the views, its gradient gathered on the distinct crops: views of one crop share an embedding. */
function cropLoss(embeddings: Float32Array, image: ImageViews, width: number) {
  const expanded = new Float64Array(image.views.length * width);
  for (const [view, crop] of image.views.entries()) {
    expanded.set(embeddings.subarray(crop * width, (crop + 1) * width), view * width);
  }
  const { loss, gradient } = snapvitLoss(expanded, image.views.length, width, image.teachers);
  const gathered = new Float64Array(image.crops * width);
  for (const [view, crop] of image.views.entries()) {
    addRowTo(gathered, crop, gradient, view, width);
  }
  return { loss, gradient: gathered };
}

/** SnapViT's local importance: the diagonal of the Hessian, estimated by squared gradients. */
export async function localScores(
  context: PruningContext,
  settings: LocalScoreSettings,
): Promise<UnitScores> {
  const { config } = context;
  const scores: UnitScores = {
    heads: range(config.depth).map(() => new Float64Array(config.heads)),
    channels: range(config.depth).map(() => new Float64Array(config.channels)),
  };
  if (settings.accumulate === 'sum') {
    squareInto(scores, await summedGradients(context, settings), config, 1);
  } else {
    const size = settings.accumulate === 'fisher-per-image' ? 1 : settings.batch;
    for await (const batch of batchGradients(context, settings, size)) {
      squareInto(scores, batch.sum, config, 1 / batch.size);
    }
  }
  return scores;
}

/** The gradient summed over all batches, each averaged over its images. */
export async function summedGradients(
  context: PruningContext,
  settings: LocalScoreSettings,
): Promise<GradientSum> {
  const total = emptySum(context.config.depth);
  for await (const { sum, size } of batchGradients(context, settings, settings.batch)) {
    addTo(total, sum, 1 / size);
  }
  return total;
}

/** Gradients summed over each batch, batch after batch. */
async function* batchGradients(
  context: PruningContext,
  { images, views }: LocalScoreSettings,
  batchSize: number,
): AsyncGenerator<{ sum: GradientSum; size: number }> {
  const used = Math.min(images, context.images.fit.count);
  const batches = groups(range(used), batchSize);
  const step = context.report.step('gradients', used);
  const perImage = views.mode === 'reference' ? 2 : views.global.count + views.local.count;
  const perCall = Math.max(1, Math.floor(CROPS_PER_CALL / perImage));
  const calls = batches.flatMap((batch) => {
    const parts = groups(batch, perCall);
    return parts.map((part, at) => ({ images: part, size: batch.length, last: at === parts.length - 1 }));
  });
  const results = ordered(calls, CALLS_IN_PROGRESS, async (call) => {
    context.signal?.throwIfAborted();
    const cut = await Promise.all(call.images.map((image) => imageViews(context, image, views)));
    return { call, gradients: await weightGradients(context.model, cut) };
  });
  let [done, sum] = [0, emptySum(context.config.depth)];
  for await (const { call, gradients } of results) {
    addTo(sum, gradients, 1);
    done += call.images.length;
    step.advance(done);
    if (call.last) {
      yield { sum, size: call.size };
      sum = emptySum(context.config.depth);
    }
  }
  step.end();
}

/** Sums of gradients in double precision, per block. */
export interface GradientSum {
  readonly fc1: Float64Array[];
  readonly value: Float64Array[];
}

function emptySum(depth: number): GradientSum {
  return {
    fc1: range(depth).map(() => new Float64Array()),
    value: range(depth).map(() => new Float64Array()),
  };
}

function addTo(
  sum: GradientSum,
  more: { readonly fc1: readonly ArrayLike<number>[]; readonly value: readonly ArrayLike<number>[] },
  scale: number,
): void {
  for (const part of ['fc1', 'value'] as const) {
    for (const [block, added] of more[part].entries()) {
      const present = elementOf(sum[part], block);
      const total = present.length > 0 ? present : new Float64Array(added.length);
      addInto(total, added, scale);
      sum[part][block] = total;
    }
  }
}

function squareInto(
  scores: UnitScores,
  sum: GradientSum,
  config: { readonly heads: number; readonly channels: number },
  scale: number,
): void {
  for (const [block, row] of scores.channels.entries()) {
    addMeanSquares(row, elementOf(sum.fc1, block), config.channels, scale);
  }
  for (const [block, row] of scores.heads.entries()) {
    addMeanSquares(row, elementOf(sum.value, block), config.heads, scale);
  }
}

function concatenate(parts: readonly Float32Array[]): Float32Array {
  const only = parts.length === 1 ? parts[0] : undefined;
  if (only) return only;
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function present({ fc1, value }: Gradients): Pick<WeightGradients, 'fc1' | 'value'> {
  if (!fc1 || !value) {
    throw new Problem('engine-failed', 'The engine gave no weight gradients although they were asked for.');
  }
  return { fc1, value };
}
