import { Problem } from '../problem/index.ts';
import {
  expectedTensors,
  type Tensor,
  type UnitKind,
  unitKinds,
  unitTensors,
  type Variant,
  type VitConfig,
} from '../vit/index.ts';

/** A canonical tensor that holds one row per unit. */
export interface UnitTensor {
  readonly name: string;
  readonly block: number;
  readonly kind: UnitKind;
  /** Elements of one unit. */
  readonly rowLength: number;
}

/** The tensors of a network, as engines take them: the classification head is not among them. */
export interface NetworkTensors {
  readonly units: readonly UnitTensor[];
  /** Every other tensor, with its shape. */
  readonly shared: ReadonlyMap<string, readonly number[]>;
}

/** Sorts the canonical tensors into those that count units and the others. */
export function networkTensors(config: VitConfig): NetworkTensors {
  const shapes = expectedTensors(config);
  const units: UnitTensor[] = [];
  for (let block = 0; block < config.depth; block++) {
    for (const kind of unitKinds(config)) {
      for (const relative of unitTensors(config, kind)) {
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
  return variant[tensor.kind]?.[tensor.block] ?? 0;
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

/** @throws Problem('tensor-mismatch') unless so many elements are `count` pieces of `each` */
export function checkLength(what: string, elements: number, count: number, each: number): void {
  if (elements === count * each) return;
  throw new Problem(
    'tensor-mismatch',
    `${what} has ${elements} elements; ${count} times ${each} are needed.`,
  );
}

/** Elements of a tensor with these dimensions. */
export function product(dims: readonly number[]): number {
  return dims.reduce((total, dim) => total * dim, 1);
}
