import type { Vectors } from './vectors.ts';

const STEPS = 300;
const L2 = 1e-3;

/**
 * Top-1 of a linear probe: multinomial logistic regression with an L2 penalty on standardised embeddings, by Nesterov's
 * accelerated gradient from zero with the step 1 / Lipschitz bound. Deterministic.
 */
export function linearProbeTop1(
  train: Vectors,
  trainLabels: readonly number[],
  test: Vectors,
  testLabels: readonly number[],
  classes: number,
): number {
  const { mean, scale } = statistics(train);
  const [x, y] = [standardised(train, mean, scale), standardised(test, mean, scale)];
  const inputs = train.width + 1; // the last one is the bias
  let weights = new Float64Array(classes * inputs);
  let ahead = weights.slice();
  // The Hessian of the mean cross-entropy is at most half of the mean squared length of an input.
  const step = 1 / (0.5 * inputs + L2);
  for (let t = 1; t <= STEPS; t++) {
    const gradient = crossEntropyGradient(x, train.count, inputs, trainLabels, ahead, classes);
    const next = ahead.map((value, i) => value - step * (gradient[i] + L2 * value));
    const momentum = (t - 1) / (t + 2);
    ahead = next.map((value, i) => value + momentum * (value - weights[i]));
    weights = next;
  }
  let hits = 0;
  for (let i = 0; i < test.count; i++) {
    const scores = scoresOf(y, i, inputs, weights, classes);
    if (scores.indexOf(Math.max(...scores)) === testLabels[i]) hits++;
  }
  return hits / Math.max(1, test.count);
}

function statistics({ width, count, data }: Vectors): { mean: Float64Array; scale: Float64Array } {
  const mean = new Float64Array(width);
  const scale = new Float64Array(width);
  for (let i = 0; i < count * width; i++) mean[i % width] = mean[i % width] + data[i] / count;
  for (let i = 0; i < count * width; i++)
    scale[i % width] = scale[i % width] + (data[i] - mean[i % width]) ** 2 / count;
  return { mean, scale: scale.map((variance) => 1 / Math.sqrt(variance + 1e-12)) };
}

/** `[count, width + 1]`, with a one behind every vector. */
function standardised(
  { width, count, data }: Vectors,
  mean: Float64Array,
  scale: Float64Array,
): Float64Array {
  const out = new Float64Array(count * (width + 1));
  for (let i = 0; i < count; i++) {
    for (let d = 0; d < width; d++) out[i * (width + 1) + d] = (data[i * width + d] - mean[d]) * scale[d];
    out[i * (width + 1) + width] = 1;
  }
  return out;
}

function scoresOf(
  x: Float64Array,
  row: number,
  inputs: number,
  weights: Float64Array,
  classes: number,
): number[] {
  return Array.from({ length: classes }, (_, c) => {
    let sum = 0;
    for (let d = 0; d < inputs; d++) sum += x[row * inputs + d] * weights[c * inputs + d];
    return sum;
  });
}

function crossEntropyGradient(
  x: Float64Array,
  count: number,
  inputs: number,
  labels: readonly number[],
  weights: Float64Array,
  classes: number,
): Float64Array {
  const gradient = new Float64Array(weights.length);
  for (let i = 0; i < count; i++) {
    const scores = scoresOf(x, i, inputs, weights, classes);
    const top = Math.max(...scores);
    const powers = scores.map((score) => Math.exp(score - top));
    const total = powers.reduce((sum, value) => sum + value, 0);
    for (let c = 0; c < classes; c++) {
      const error = (powers[c] / total - (labels[i] === c ? 1 : 0)) / count;
      for (let d = 0; d < inputs; d++)
        gradient[c * inputs + d] = gradient[c * inputs + d] + error * x[i * inputs + d];
    }
  }
  return gradient;
}
