import { product, type UnitTensor } from '../network/index.ts';
import { feasibleMerge, type Variant, type VitConfig } from '../vit/index.ts';
import type { PlainTensor } from './commands.ts';

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
