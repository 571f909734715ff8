import type { LevelWeights } from '../../checkpoint/index.ts';
import type { Tensor } from '../../vit/index.ts';
import { LadderRows } from '../ladder-rows.ts';
import { keptUnits } from '../network-tensors.ts';
import { mergeInput, sharedDims, unitDims } from './network-inputs.ts';
import { type ArrayView, asOwnView, type PlainTensor } from './protocol.ts';
import type { EngineWorker } from './worker-pool.ts';

/** How the levels of a ladder lie in a worker's arrays: one growing array per tensor, a view of it per level. */
export class LevelLayout extends LadderRows {
  /** Reserves room for the full network. */
  async allocate(worker: EngineWorker): Promise<void> {
    const full = this.variants.at(-1);
    for (const tensor of this.tensors.units) {
      const length = (full ? keptUnits(tensor, full) : 0) * tensor.rowLength;
      await worker.send({ kind: 'allocate', array: tensor.name, length });
    }
  }

  /** Writes the rows of a level behind those of the levels before it, and what is its own alone beside them. */
  async write(worker: EngineWorker, increment: LevelWeights): Promise<void> {
    const { level } = increment;
    for (const tensor of this.tensors.units) {
      const { first } = this.rows(tensor, level);
      const data = increment.increments.get(tensor.name)?.data;
      if (!data?.length) continue;
      await worker.send({
        kind: 'write',
        array: tensor.name,
        at: first * tensor.rowLength,
        data: asOwnView(data),
      });
    }
    const shared = [...increment.shared].filter(([name]) => this.tensors.shared.has(name));
    await store(worker, '', shared);
    await store(worker, correctionPrefix(level), increment.corrections);
  }

  /** The graph inputs of a level. */
  inputs(
    level: number,
    corrections: ReadonlySet<string>,
  ): { views: Record<string, ArrayView>; tensors: Record<string, PlainTensor> } {
    const variant = this.variant(level);
    const views: Record<string, ArrayView> = {};
    const arrayOf = (name: string) => (corrections.has(name) ? correctionPrefix(level) + name : name);
    for (const tensor of this.tensors.units) {
      const dims = unitDims(this.config, tensor, keptUnits(tensor, variant));
      views[tensor.name] = { array: arrayOf(tensor.name), dims };
    }
    for (const [name, shape] of this.tensors.shared) {
      views[name] = { array: arrayOf(name), dims: sharedDims(name, shape) };
    }
    return { views, tensors: { merge: mergeInput(this.config, variant) } };
  }
}

function correctionPrefix(level: number): string {
  return `level ${level}/`;
}

async function store(
  worker: EngineWorker,
  prefix: string,
  tensors: Iterable<readonly [string, Tensor]>,
): Promise<void> {
  for (const [name, { data }] of tensors) {
    await worker.send({ kind: 'allocate', array: prefix + name, length: data.length });
    await worker.send({ kind: 'write', array: prefix + name, at: 0, data: asOwnView(data) });
  }
}
