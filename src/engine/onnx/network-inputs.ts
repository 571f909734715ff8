import { Problem } from '../../problem/index.ts';
import {
  expectedTensors,
  feasibleMerge,
  type Tensor,
  unitTensors,
  type Variant,
  type VitConfig,
} from '../../vit/index.ts';
import type { PlainTensor } from './protocol.ts';

/** A canonical tensor that holds one row per unit. */
export interface UnitTensor {
  readonly name: string;
  readonly block: number;
  readonly kind: 'heads' | 'channels';
  /** Elements of one unit. */
  readonly rowLength: number;
}

/** The tensors of a network, as its graphs take them: the classification head is not among them. */
export interface NetworkTensors {
  readonly units: readonly UnitTensor[];
  /** Every other tensor, with its shape. */
  readonly shared: ReadonlyMap<string, readonly number[]>;
}

/** Sorts the canonical tensors into those that count units and the others. */
export function networkTensors(config: VitConfig): NetworkTensors {
  const shapes = expectedTensors(config);
  const names = unitTensors(config);
  const units: UnitTensor[] = [];
  for (let block = 0; block < config.depth; block++) {
    for (const kind of ['heads', 'channels'] as const) {
      for (const relative of names[kind]) {
        const name = `blocks.${block}.${relative}`;
        units.push({ name, block, kind, rowLength: product((shapes.get(name) ?? []).slice(1)) });
        shapes.delete(name);
      }
    }
  }
  for (const name of ['head.weight', 'head.bias']) shapes.delete(name);
  return { units, shared: shapes };
}

/** Kept units of a tensor in a variant. */
export function keptUnits(tensor: UnitTensor, variant: Variant): number {
  return variant[tensor.kind][tensor.block] ?? 0;
}

/** The shape under which graphs take a unit tensor: weights as `[rows, D]`, biases as `[rows]`. */
export function unitDims(config: VitConfig, tensor: UnitTensor, count: number): number[] {
  const elements = count * tensor.rowLength;
  return tensor.name.endsWith('.bias') ? [elements] : [elements / config.width, config.width];
}

/** The shape under which graphs take a shared tensor. */
export function sharedDims(name: string, shape: readonly number[]): number[] {
  return name === 'embed.patch.weight' ? [shape[0] ?? 0, product(shape.slice(1))] : [...shape];
}

/** The merge schedule as a graph input, clamped to what can run. */
export function mergeInput(config: VitConfig, variant: Variant): PlainTensor {
  const counts = feasibleMerge(config, variant);
  return { type: 'int64', dims: [counts.length], data: BigInt64Array.from(counts, BigInt) };
}

/**
 * @throws Problem('tensor-mismatch') unless every tensor is there and has the shape that the configuration asks for
 */
export function checkTensors(config: VitConfig, tensors: ReadonlyMap<string, Tensor>): void {
  for (const [name, shape] of expectedTensors(config)) {
    if (name.startsWith('head.')) continue;
    const tensor = tensors.get(name);
    if (tensor?.data.length === product(shape)) continue;
    const found = tensor ? `[${tensor.shape.join(', ')}]` : 'nothing';
    throw new Problem(
      'tensor-mismatch',
      `The engine needs the tensor "${name}" as [${shape.join(', ')}] and was given ${found}.`,
      { tensor: name, expected: shape, found: tensor?.shape ?? null },
    );
  }
}

/** @throws Problem('tensor-mismatch') unless `data` holds `count` pieces of `each` elements */
export function checkLength(what: string, data: ArrayLike<number>, count: number, each: number): void {
  if (data.length === count * each) return;
  throw new Problem(
    'tensor-mismatch',
    `${what} has ${data.length} elements; ${count} times ${each} are needed.`,
  );
}

function product(dims: readonly number[]): number {
  return dims.reduce((total, dim) => total * dim, 1);
}
