import type { LevelWeights } from '../../checkpoint/index.ts';
import { Problem } from '../../problem/index.ts';
import type { Tensor, Variant, VitConfig } from '../../vit/index.ts';
import {
  checkLength,
  keptUnits,
  mergeInput,
  networkTensors,
  sharedDims,
  unitDims,
} from './network-inputs.ts';
import { type ArrayView, asOwnView, type PlainTensor } from './protocol.ts';
import type { EngineWorker } from './worker-client.ts';

/** How the levels of a ladder lie in a worker's arrays: one growing array per tensor, a view of it per level. */
export class LevelLayout {
  readonly config: VitConfig;
  readonly variants: readonly Variant[];
  readonly #tensors;

  constructor(config: VitConfig, variants: readonly Variant[]) {
    this.config = config;
    this.variants = variants;
    this.#tensors = networkTensors(config);
  }

  /** @throws Problem('tensor-mismatch') unless the increment holds exactly what its level adds */
  check(increment: LevelWeights): void {
    const { level } = increment;
    for (const tensor of this.#tensors.units) {
      const { first, rows } = this.#rows(tensor, level);
      const data = increment.increments.get(tensor.name)?.data ?? [];
      checkLength(
        `"${tensor.name}" of level ${level} (units ${first} to ${first + rows})`,
        data,
        rows,
        tensor.rowLength,
      );
    }
    for (const [name, { data }] of increment.corrections) {
      checkLength(`"${name}" of level ${level} alone`, data, 1, this.#ownLength(name, level));
    }
    if (level > 0) return;
    for (const [name, shape] of this.#tensors.shared) {
      checkLength(`"${name}"`, increment.shared.get(name)?.data ?? [], 1, product(shape));
    }
  }

  /** Reserves room for the full network. */
  async allocate(worker: EngineWorker): Promise<void> {
    const full = this.variants.at(-1);
    for (const tensor of this.#tensors.units) {
      const length = (full ? keptUnits(tensor, full) : 0) * tensor.rowLength;
      await worker.send({ kind: 'allocate', array: tensor.name, length });
    }
  }

  /** Writes the rows of a level behind those of the levels before it, and what is its own alone beside them. */
  async write(worker: EngineWorker, increment: LevelWeights): Promise<void> {
    const { level } = increment;
    for (const tensor of this.#tensors.units) {
      const { first } = this.#rows(tensor, level);
      const data = increment.increments.get(tensor.name)?.data;
      if (!data?.length) continue;
      await worker.send({
        kind: 'write',
        array: tensor.name,
        at: first * tensor.rowLength,
        data: asOwnView(data),
      });
    }
    const shared = [...increment.shared].filter(([name]) => this.#tensors.shared.has(name));
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
    for (const tensor of this.#tensors.units) {
      const dims = unitDims(this.config, tensor, keptUnits(tensor, variant));
      views[tensor.name] = { array: arrayOf(tensor.name), dims };
    }
    for (const [name, shape] of this.#tensors.shared) {
      views[name] = { array: arrayOf(name), dims: sharedDims(name, shape) };
    }
    return { views, tensors: { merge: mergeInput(this.config, variant) } };
  }

  variant(level: number): Variant {
    const variant = this.variants[level];
    if (variant) return variant;
    throw new Problem(
      'level-not-loaded',
      `There is no level ${level}; the levels are 0 to ${this.variants.length - 1}.`,
      { level, levels: this.variants.length },
    );
  }

  /** Elements of a tensor as a level runs it. */
  #ownLength(name: string, level: number): number {
    const tensor = this.#tensors.units.find((unit) => unit.name === name);
    if (tensor) return keptUnits(tensor, this.variant(level)) * tensor.rowLength;
    const shape = this.#tensors.shared.get(name);
    if (shape) return product(shape);
    throw new Problem(
      'tensor-mismatch',
      `Level ${level} replaces "${name}", which the network does not have.`,
      {
        tensor: name,
        level,
      },
    );
  }

  #rows(tensor: Parameters<typeof keptUnits>[0], level: number): { first: number; rows: number } {
    const first = level === 0 ? 0 : keptUnits(tensor, this.variant(level - 1));
    return { first, rows: keptUnits(tensor, this.variant(level)) - first };
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

function product(dims: readonly number[]): number {
  return dims.reduce((total, dim) => total * dim, 1);
}
