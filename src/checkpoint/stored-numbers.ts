import { decodeHalf, encodeHalf, type Tensor, type TensorMap } from '../vit/index.ts';
import { roundedToPlanes } from './planes.ts';

/**
 * What a checkpoint's matrices are stored in. `split`: those of the units in two planes of a byte each, the others as with `F16`.
 * Vectors (biases, norms, means) are always float32; they are small.
 */
export type StoredNumbers = 'F16' | 'F32' | 'split';

/** What a checkpoint stores. Planes are not worth their while with one level: all of the bytes are needed at once. */
export function numbersOf({
  dtype = 'F16',
  levels,
}: {
  readonly dtype?: StoredNumbers;
  readonly levels: { readonly length: number };
}): StoredNumbers {
  return dtype === 'split' && levels.length < 2 ? 'F16' : dtype;
}

/** Largest magnitude that binary16 can hold. */
const HALF_MAX = 65504;

/**
 * How a tensor is written down: the one decision, for what is stored and for what is measured before. A matrix with a number that
 * binary16 cannot hold stays float32.
 * @param name canonical
 */
export function writtenAs(name: string, tensor: Tensor, numbers: StoredNumbers): 'F16' | 'F32' | 'planes' {
  const wanted = wantedAs(name, tensor.shape, numbers);
  return wanted === 'F16' && tensor.data.some((value) => Math.abs(value) > HALF_MAX) ? 'F32' : wanted;
}

/** The same as far as the shape decides, of ordinary numbers. */
export function wantedAs(
  name: string,
  shape: readonly number[],
  numbers: StoredNumbers,
): 'F16' | 'F32' | 'planes' {
  if (numbers === 'F32' || shape.length < 2 || name.endsWith('.bias')) return 'F32';
  return numbers === 'split' && isUnitMatrix(name) ? 'planes' : 'F16';
}

/** Weights of blocks that are matrices are those of units. */
function isUnitMatrix(name: string): boolean {
  return name.startsWith('blocks.') && name.endsWith('.weight');
}

/**
 * Tensors with the numbers that the checkpoint will hold. A network is pruned, corrected and measured with these, so that the
 * published fidelity is that of the bytes which are served.
 * @param planes levels below the full network have the `high` one only
 */
export function asStored(
  tensors: TensorMap,
  numbers: StoredNumbers,
  planes: 'high' | 'both' = 'both',
): TensorMap {
  return new Map([...tensors].map(([name, tensor]) => [name, stored(name, tensor, numbers, planes)]));
}

/** The same in place, one tensor at a time: of a large network there is no room for two. */
export function makeAsStored(tensors: Map<string, Tensor>, numbers: StoredNumbers): TensorMap {
  for (const [name, tensor] of tensors) tensors.set(name, stored(name, tensor, numbers, 'both'));
  return tensors;
}

function stored(name: string, tensor: Tensor, numbers: StoredNumbers, planes: 'high' | 'both'): Tensor {
  switch (writtenAs(name, tensor, numbers)) {
    case 'F32':
      return tensor;
    case 'F16':
      return { shape: tensor.shape, data: decodeHalf(encodeHalf(tensor.data)) };
    case 'planes':
      return roundedToPlanes(name, tensor, planes);
  }
}
