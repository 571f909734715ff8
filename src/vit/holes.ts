import { Problem } from '../problem/index.ts';

/**
 * The tensor of that name.
 * @throws Problem('tensor-mismatch') when there is none: zeros in its place would be other weights, without an error
 */
export function tensorOf<T>(tensors: ReadonlyMap<string, T>, name: string): T {
  const tensor = tensors.get(name);
  if (!tensor) throw new Problem('tensor-mismatch', `The network has no tensor ${name}.`, { tensor: name });
  return tensor;
}

/**
 * The element at a position that must be there.
 * @throws RangeError when it is not: an index is wrong, or a list is missing or shorter than what it belongs to
 */
export function elementOf<T>(list: ArrayLike<T> | undefined, index: number): T {
  const element = list?.[index];
  if (element !== undefined) return element;
  throw new RangeError(
    `There is no element ${index}: ${list ? `the list has ${list.length}` : 'there is no list'}.`,
  );
}
