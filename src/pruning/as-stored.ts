import { decodeHalf, encodeHalf, type Tensor, type TensorMap } from '../vit/index.ts';

/** Largest magnitude of binary16. */
const HALF_MAX = 65504;

/**
 * Tensors with the numbers that the checkpoint will hold. The network is pruned, corrected and measured with these, so
 * that the published fidelity is that of the bytes which are served. Matrices are stored in fp16 (unless a value does not
 * fit), biases and norms in fp32.
 */
export function asStored(tensors: TensorMap, storage: 'fp16' | 'fp32'): TensorMap {
  if (storage === 'fp32') return tensors;
  return new Map(
    [...tensors].map(([name, tensor]) => [name, isHalf(name, tensor) ? rounded(tensor) : tensor]),
  );
}

function isHalf(name: string, { shape, data }: Tensor): boolean {
  return shape.length >= 2 && !name.endsWith('.bias') && data.every((value) => Math.abs(value) <= HALF_MAX);
}

function rounded({ shape, data }: Tensor): Tensor {
  return { shape, data: decodeHalf(encodeHalf(data)) };
}
