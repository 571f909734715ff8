import type { LevelWeights } from '../checkpoint/index.ts';
import {
  checkLength,
  keptUnits,
  type NetworkTensors,
  networkTensors,
  product,
  type UnitTensor,
} from '../network/index.ts';
import { Problem } from '../problem/index.ts';
import type { Variant, VitConfig } from '../vit/index.ts';

/** Which rows of every tensor each level of a ladder brings, and whether they are the right ones. */
export class LadderRows {
  readonly config: VitConfig;
  readonly variants: readonly Variant[];
  readonly tensors: NetworkTensors;

  constructor(config: VitConfig, variants: readonly Variant[]) {
    this.config = config;
    this.variants = variants;
    this.tensors = networkTensors(config);
  }

  /** @throws Problem('tensor-mismatch') unless the increment holds exactly what its level adds */
  check(increment: LevelWeights): void {
    const { level } = increment;
    for (const tensor of this.tensors.units) {
      const { first, rows } = this.rows(tensor, level);
      const given = increment.increments.get(tensor.name);
      checkLength(
        `"${tensor.name}" of level ${level} (units ${first} to ${first + rows})`,
        given ? product(given.shape) : 0,
        rows,
        tensor.rowLength,
      );
    }
    for (const [name, { shape }] of increment.corrections) {
      checkLength(`"${name}" of level ${level} alone`, product(shape), 1, this.#ownLength(name, level));
    }
    if (level > 0) return;
    for (const [name, shape] of this.tensors.shared) {
      checkLength(`"${name}"`, increment.shared.get(name)?.data.length ?? 0, 1, product(shape));
    }
  }

  /** @throws Problem('level-not-loaded') */
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
    const tensor = this.tensors.units.find((unit) => unit.name === name);
    if (tensor) return keptUnits(tensor, this.variant(level)) * tensor.rowLength;
    const shape = this.tensors.shared.get(name);
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

  /** The rows of a tensor that a level adds to the ones before it. */
  rows(tensor: UnitTensor, level: number): { first: number; rows: number } {
    const first = level === 0 ? 0 : keptUnits(tensor, this.variant(level - 1));
    return { first, rows: keptUnits(tensor, this.variant(level)) - first };
  }
}
