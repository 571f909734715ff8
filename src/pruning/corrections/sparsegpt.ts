import { CholeskyDecomposition } from 'ml-matrix';
import { keptOf, type Tensor, type UnitOrder, unitCount, type Variant } from '../../vit/index.ts';
import {
  advance,
  allActivations,
  firstColumns,
  firstStream,
  inputUnits,
  type LastLayer,
  lastLayer,
  layerName,
  type Part,
} from '../activations/residual-stream.ts';
import type { Correction, PruningContext } from '../contracts.ts';
import { range } from '../data/ordered.ts';
import { percentile } from '../fidelity/fidelity.ts';
import { addInto, sum } from '../kernels/arrays.ts';
import type { SparseGptSettings } from '../recipe/schema.ts';
import { diagonalOf, sparseGptSystem } from './kernels/sparsegpt-system.ts';

/** What SparseGPT adds to the Hessian's diagonal: `damping` times a statistic of that diagonal. */
export type Damping = Pick<SparseGptSettings, 'damping' | 'statistic'>;

/**
 * SparseGPT (Frantar & Alistarh, ICML 2023) for the inputs that pruning removed from `attn.proj` and `mlp.fc2`: block by
 * block, each fed by the already pruned and corrected ones, with the Hessian `X X'` of the layer's inputs. Merging is
 * left out: the layers are fitted on all tokens.
 */
export function sparseGptCorrection(settings: SparseGptSettings): Correction {
  return {
    name: 'sparsegpt',
    async correct(context, variant, units) {
      const corrected = new Map<string, Tensor>();
      let stream = await firstStream(context, Math.min(settings.images, context.images.fit.count));
      for (const block of range(context.config.depth)) {
        for (const part of ['attention', 'mlp'] as const) {
          const activations = await allActivations(context, stream, { block, part }, units);
          const layer = await correctLayer(context, { variant, units, block, part }, activations, settings);
          if (layer.changed) setWeight(corrected, context, { block, part }, layer);
          const each = inputUnits(context.config, part);
          const width = unitCount(context.config, each.kind) * each.width;
          const kept = activations.map((rows) => firstColumns(rows, width, layer.inputs));
          stream = await advance(context, stream, kept, layer);
        }
      }
      return corrected;
    },
  };
}

interface CorrectedLayer extends LastLayer {
  readonly changed: boolean;
}

async function correctLayer(
  context: PruningContext,
  at: { readonly variant: Variant; readonly units: UnitOrder; readonly block: number; readonly part: Part },
  activations: readonly Float32Array[],
  damping: Damping,
): Promise<CorrectedLayer> {
  const { config, tensors } = context;
  const layer = lastLayer(config, tensors, at, at.units);
  const { kind, width } = inputUnits(config, at.part);
  const inputs = keptOf(config, at.variant, kind, at.block) * width;
  if (inputs === layer.inputs) return { ...layer, changed: false };
  if (inputs === 0) return { ...layer, inputs, weight: new Float32Array(), changed: false };
  const hessian = new Float64Array(layer.inputs ** 2);
  for (const rows of activations) {
    const part = await context.model.gram(rows, rows, {
      rows: rows.length / layer.inputs,
      left: layer.inputs,
      right: layer.inputs,
    });
    addInto(hessian, part);
  }
  const weight = sparseGptUpdate(
    layer.weight,
    hessian,
    { ...layer, kept: inputs, width: config.width },
    damping,
  );
  return { inputs, weight, bias: layer.bias, changed: true };
}

/**
 * SparseGPT's update of a layer when the inputs beyond the first `kept` are removed. Removing them one after another by
 * the optimal-brain-surgeon step, which adjusts everything that is left, ends in the minimum of
 * `tr(dW (H + lambda I) dW')` subject to the removed inputs' weights being zero:
 * `W_K + (H_KK + lambda I)^-1 H_KR W_R` (input-first), which is solved for directly.
 * @param weight `[inputs, width]`, kept inputs first
 * @param hessian `[inputs, inputs]`, `X X'` up to a factor
 * @returns `[kept, width]`
 */
export function sparseGptUpdate(
  weight: Float32Array,
  hessian: Float64Array,
  { inputs, kept, width }: { readonly inputs: number; readonly kept: number; readonly width: number },
  damping: Damping,
): Float32Array {
  const diagonal = diagonalOf(hessian, inputs);
  const lambda = damping.damping * dampingStatistic(diagonal, damping.statistic);
  const updated = weight.slice(0, kept * width);
  // Inputs that are never active have nothing to teach, and the system would be singular.
  if (lambda === 0) return updated;
  const { system, removed } = sparseGptSystem(hessian, weight, { inputs, kept, width }, lambda);
  const change = new CholeskyDecomposition(system).solve(removed);
  return sum(updated, change.to1DArray());
}

function dampingStatistic(diagonal: Float64Array, statistic: Damping['statistic']): number {
  if (statistic === 'max') return Math.max(...diagonal);
  if (statistic === 'percentile-95') return percentile(diagonal, 95);
  return diagonal.reduce((total, value) => total + value, 0) / diagonal.length;
}

function setWeight(
  corrected: Map<string, Tensor>,
  { config }: PruningContext,
  { block, part }: { readonly block: number; readonly part: Part },
  layer: LastLayer,
): void {
  const { width } = inputUnits(config, part);
  const shape =
    part === 'attention' ? [layer.inputs / width, width, config.width] : [layer.inputs, config.width];
  corrected.set(`${layerName(block, part)}.weight`, { shape, data: layer.weight });
}
