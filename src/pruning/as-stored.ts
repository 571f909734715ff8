import { hasPlanes, roundedToPlanes } from '../checkpoint/index.ts';
import { decodeHalf, encodeHalf, type Tensor, type TensorMap } from '../vit/index.ts';
import type { Recipe } from './recipe/schema.ts';

/** Largest magnitude of binary16. */
const HALF_MAX = 65504;

/**
 * Tensors with the numbers that the checkpoint will hold. The network is pruned, corrected and measured with these, so
 * that the published fidelity is that of the bytes which are served. Matrices are stored in fp16 (unless a value does not
 * fit), biases and norms in fp32. With `split` the matrices of the units are in two planes; levels below the full network have
 * the `high` one only.
 */
export function asStored(
  tensors: TensorMap,
  storage: Recipe['storage'],
  planes: 'high' | 'both' = 'both',
): TensorMap {
  if (storage === 'fp32') return tensors;
  return new Map([...tensors].map(([name, tensor]) => [name, stored(name, tensor, storage, planes)]));
}

/** The same in place, one tensor at a time: of a large network there is no room for two. */
export function makeAsStored(tensors: Map<string, Tensor>, storage: Recipe['storage']): TensorMap {
  for (const [name, tensor] of tensors) tensors.set(name, stored(name, tensor, storage, 'both'));
  return tensors;
}

function stored(name: string, tensor: Tensor, storage: Recipe['storage'], planes: 'high' | 'both'): Tensor {
  if (storage === 'fp32') return tensor;
  if (storage === 'split' && name.startsWith('blocks.') && hasPlanes(name, tensor))
    return roundedToPlanes(name, tensor, planes);
  return isHalf(name, tensor) ? rounded(tensor) : tensor;
}

function isHalf(name: string, { shape, data }: Tensor): boolean {
  return shape.length >= 2 && !name.endsWith('.bias') && data.every((value) => Math.abs(value) <= HALF_MAX);
}

function rounded({ shape, data }: Tensor): Tensor {
  return { shape, data: decodeHalf(encodeHalf(data)) };
}
