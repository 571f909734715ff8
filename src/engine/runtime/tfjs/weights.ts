import type { Tensor } from '@tensorflow/tfjs-core';
import { rotaryAngles } from '../../../network/rotary-angles.ts';
import {
  checkLength,
  keptUnits,
  networkTensors,
  product,
  type UnitTensor,
} from '../../../network/tensors.ts';
import { Problem } from '../../../problem/index.ts';
import {
  type TensorMap,
  type UnitKind,
  type UnitOrder,
  unitCount,
  type Variant,
  type VitConfig,
} from '../../../vit/index.ts';
import type { Tf } from './backend.ts';
import { deviceNames, place, unitAxis } from './layout.ts';
import type { Scope } from './scope.ts';

/** The weights of one variant on the device. Its tensors are its own; the stock may change or go meanwhile. */
export interface WeightView extends Scope {
  dispose(): void;
}

export interface ViewOptions {
  /** Unit order per block; absent: as stored. */
  readonly units?: UnitOrder | undefined;
  /** Canonical tensors that take the place of the stock's, cut to the variant's counts. */
  readonly replaced?: TensorMap | undefined;
}

/** All weights of a network on the device, and prefixes of them. */
export class DeviceWeights {
  readonly #tf: Tf;
  readonly #config: VitConfig;
  readonly #tensors;
  readonly #stock = new Map<string, Tensor>();
  /** The unit tensors in the order that was asked for last. */
  #ordered: { readonly units: UnitOrder; readonly tensors: Map<string, Tensor> } | undefined;

  constructor(tf: Tf, config: VitConfig) {
    this.#tf = tf;
    this.#config = config;
    this.#tensors = networkTensors(config);
    if (!config.rope) return;
    const angles = rotaryAngles(config, config.rope.theta);
    const shape: [number, number, number, number] = [1, 1, angles.length / config.headDim, config.headDim];
    this.#stock.set('rotary.cosines', tf.tensor4d(Float32Array.from(angles, Math.cos), shape));
    this.#stock.set('rotary.sines', tf.tensor4d(Float32Array.from(angles, Math.sin), shape));
  }

  /** Brings tensors that do not count units; names that the network does not compute with are passed over. */
  addShared(tensors: TensorMap): void {
    for (const name of this.#tensors.shared.keys()) {
      const data = tensors.get(name)?.data;
      if (data) for (const [key, tensor] of place(this.#tf, this.#config, name, data)) this.#put(key, tensor);
    }
  }

  /** Puts units behind those that are there. */
  addUnits(tensors: TensorMap): void {
    for (const unit of this.#tensors.units) {
      const data = tensors.get(unit.name)?.data;
      if (!data?.length) continue;
      for (const [key, tensor] of place(this.#tf, this.#config, unit.name, data)) {
        const before = this.#stock.get(key);
        if (!before) {
          this.#put(key, tensor);
          continue;
        }
        this.#put(key, this.#tf.concat([before, tensor], unitAxis(this.#config, unit).axis));
        tensor.dispose();
      }
    }
  }

  /**
   * @throws Problem('tensor-mismatch') when a replaced tensor has another size than the variant gives it, or the variant
   *   keeps more units than the order names
   */
  view(variant: Variant, { units, replaced }: ViewOptions = {}): WeightView {
    this.#check(variant, units, replaced);
    const tensors = new Map<string, Tensor>();
    for (const name of this.#tensors.shared.keys()) this.#take(tensors, name, replaced);
    for (const name of ['rotary.cosines', 'rotary.sines']) {
      const table = this.#stock.get(name);
      if (table) tensors.set(name, table.clone());
    }
    for (const unit of this.#tensors.units) {
      const kept = keptUnits(unit, variant);
      if (kept > 0) this.#take(tensors, unit.name, replaced, { unit, kept, units });
    }
    return {
      tf: this.#tf,
      config: this.#config,
      at: (name) => tensors.get(name) ?? absent(name),
      dispose: () => this.#tf.dispose([...tensors.values()]),
    };
  }

  dispose(): void {
    this.#forgetOrder();
    this.#tf.dispose([...this.#stock.values()]);
    this.#stock.clear();
  }

  #put(name: string, tensor: Tensor): void {
    this.#stock.get(name)?.dispose();
    this.#stock.set(name, tensor);
  }

  #take(
    tensors: Map<string, Tensor>,
    name: string,
    replaced: TensorMap | undefined,
    cut?: { readonly unit: UnitTensor; readonly kept: number; readonly units: UnitOrder | undefined },
  ): void {
    const own = replaced?.get(name);
    if (own) {
      for (const [key, tensor] of place(this.#tf, this.#config, name, own.data)) tensors.set(key, tensor);
      return;
    }
    const stock = cut?.units ? this.#arranged(cut.units) : this.#stock;
    for (const key of deviceNames(name)) {
      const whole = stock.get(key) ?? absent(key);
      tensors.set(key, cut ? this.#prefix(whole, cut.unit, cut.kept) : whole.clone());
    }
  }

  #prefix(whole: Tensor, unit: UnitTensor, kept: number): Tensor {
    const { axis, each } = unitAxis(this.#config, unit);
    const size = whole.shape.with(axis, kept * each);
    return size[axis] === whole.shape[axis]
      ? whole.clone()
      : this.#tf.slice(
          whole,
          size.map(() => 0),
          size,
        );
  }

  #arranged(units: UnitOrder): Map<string, Tensor> {
    if (this.#ordered && sameOrder(this.#ordered.units, units)) return this.#ordered.tensors;
    this.#forgetOrder();
    const tensors = new Map<string, Tensor>();
    for (const unit of this.#tensors.units) {
      const { axis, each } = unitAxis(this.#config, unit);
      const order = units[unit.kind]?.[unit.block] ?? [];
      if (order.length === 0) continue;
      const rows = Int32Array.from({ length: order.length * each }, (_, at) => {
        return (order[Math.floor(at / each)] ?? 0) * each + (at % each);
      });
      for (const key of deviceNames(unit.name)) {
        const whole = this.#stock.get(key) ?? absent(key);
        tensors.set(
          key,
          this.#tf.tidy(() => this.#tf.gather(whole, this.#tf.tensor1d(rows, 'int32'), axis)),
        );
      }
    }
    this.#ordered = { units, tensors };
    return tensors;
  }

  #forgetOrder(): void {
    this.#tf.dispose([...(this.#ordered?.tensors.values() ?? [])]);
    this.#ordered = undefined;
  }

  #check(variant: Variant, units: UnitOrder | undefined, replaced: TensorMap | undefined): void {
    for (const unit of this.#tensors.units) {
      const kept = keptUnits(unit, variant);
      const available = units?.[unit.kind]?.[unit.block]?.length ?? unitCount(this.#config, unit.kind);
      if (kept > available) {
        throw new Problem(
          'tensor-mismatch',
          `The variant keeps ${kept} units of "${unit.name}"; there are ${available}.`,
          { tensor: unit.name },
        );
      }
      const own = replaced?.get(unit.name)?.data;
      if (own) checkLength(`The replaced "${unit.name}"`, own.length, kept, unit.rowLength);
    }
    for (const [name, shape] of this.#tensors.shared) {
      const own = replaced?.get(name)?.data;
      if (own) checkLength(`The replaced "${name}"`, own.length, 1, product(shape));
    }
  }
}

function sameOrder(a: UnitOrder, b: UnitOrder): boolean {
  const equal = (kind: UnitKind) =>
    (a[kind] ?? []).every((order, block) => {
      const other = b[kind]?.[block] ?? [];
      return order.length === other.length && order.every((unit, at) => unit === other[at]);
    });
  return a === b || (['heads', 'queries', 'values', 'channels'] as const).every(equal);
}

function absent(name: string): never {
  throw new Problem('tensor-mismatch', `The engine was given no "${name}".`, { tensor: name });
}
