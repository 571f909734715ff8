import type { DenseProducts } from '../../../engine/index.ts';
import { elementOf } from '../../../vit/index.ts';
import { solveSpd } from '../../linear/kernels/spd-solve.ts';
import { addToDiagonal, biasLeft, quadraticError, trace } from './kernels/regression.ts';
import {
  centred,
  type Moments,
  meansOf,
  momentsOf,
  type RegressionPiece,
  type RegressionSize,
  sumOf,
} from './moments.ts';

/** What is added to a layer: `[inputs, outputs]` and `[outputs]`. */
export interface LayerChange {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

/** Every how-manieth piece decides between ridges instead of being fitted on. */
const JUDGES = 3;

/**
 * The change of a layer, `[inputs, outputs]` weight and bias, that brings its outputs closest to where they should be:
 * weighted least squares with an unpenalised bias and a ridge of `ridge` times the mean diagonal of the centred
 * Gram matrix on the change of the weight. With `ridge` infinite only the bias changes.
 * @param model multiplies
 * @param ridge of several, ascending, the one that is best on every third piece when it is fitted on the others; then all
 *   are fitted on. The error is taken to have one minimum over the list
 */
export async function ridgeChange(
  model: DenseProducts,
  pieces: readonly RegressionPiece[],
  size: RegressionSize,
  ridge: number | readonly number[],
): Promise<LayerChange> {
  if (typeof ridge === 'number')
    return solved(await momentsOf(model, pieces, size, Number.isFinite(ridge)), size, ridge);
  const judges = (at: number) => at % JUDGES === JUDGES - 1;
  const fit = await momentsOf(
    model,
    pieces.filter((_, at) => !judges(at)),
    size,
    true,
  );
  const judge = await momentsOf(
    model,
    pieces.filter((_, at) => judges(at)),
    size,
    true,
  );
  const error = (candidate: number) => heldOutError(model, judge, solved(fit, size, candidate), size);
  const chosen = judge.weight > 0 ? await lowest(ridge, error) : elementOf(ridge, ridge.length - 1);
  return solved(sumOf(fit, judge), size, chosen);
}

function solved(sums: Moments, { inputs, outputs }: RegressionSize, ridge: number): LayerChange {
  const means = meansOf(sums);
  const unchanged = { weight: new Float32Array(inputs * outputs), bias: Float32Array.from(means.residual) };
  if (!Number.isFinite(ridge)) return unchanged;
  const { gram: system, cross: change } = centred(sums, means);
  const damping = (ridge * trace(system, inputs)) / inputs;
  // Inputs that never vary have nothing to teach.
  if (!(damping > 0)) return unchanged;
  addToDiagonal(system, inputs, damping);
  solveSpd(system, change, inputs, outputs);
  return { weight: Float32Array.from(change), bias: biasLeft(means.residual, means.inputs, change) };
}

/**
 * Weighted mean of `|r - b - W'x|^2` over the rows of some moments less that of `|r|^2`, which is the same for every change:
 * `tr(W'GW) - 2 tr(W'C) + 2 b'W'E[x] + |b|^2 - 2 b'E[r]` with `G = E[xx']` and `C = E[xr']`.
 */
async function heldOutError(
  model: DenseProducts,
  judge: Moments,
  change: LayerChange,
  { inputs, outputs }: RegressionSize,
): Promise<number> {
  const total = judge.weight;
  const squares = Float32Array.from(judge.gram, (value) => value / total);
  const spread = await model.product(squares, change.weight, {
    rows: inputs,
    inner: inputs,
    columns: outputs,
  });
  return quadraticError(judge, total, change, spread);
}

/** The candidate of least error, walking downhill from the middle of the list. */
async function lowest(
  candidates: readonly number[],
  error: (candidate: number) => Promise<number>,
): Promise<number> {
  const known = new Map<number, number>();
  const errorAt = async (at: number): Promise<number> => {
    const candidate = candidates[at];
    if (candidate === undefined) return Number.POSITIVE_INFINITY;
    const value = known.get(at) ?? (await error(candidate));
    known.set(at, value);
    return value;
  };
  let at = Math.floor((candidates.length - 1) / 2);
  for (const direction of [-1, 1]) {
    while ((await errorAt(at + direction)) < (await errorAt(at))) at += direction;
  }
  return elementOf(candidates, at);
}
