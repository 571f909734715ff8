import { ELEMENT, type ElementType } from '../../../../src/network/proto.ts';

/** A tensor of the literal runtime: every number is a double, whatever its element type. Row-major. */
export interface Literal {
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly data: readonly number[] | Float64Array;
}

export type Index = readonly number[];

export const size = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);

/** Calls `visit` with every index of a shape, in order. */
export function everyIndex(dims: readonly number[], visit: (index: number[], flat: number) => void): void {
  const index = dims.map(() => 0);
  for (let flat = 0; flat < size(dims); flat++) {
    visit(index, flat);
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      index[axis] = (index[axis] ?? 0) + 1;
      if ((index[axis] ?? 0) < (dims[axis] ?? 0)) break;
      index[axis] = 0;
    }
  }
}

/** A tensor from what stands at each index. */
export function make(type: ElementType, dims: readonly number[], at: (index: number[]) => number): Literal {
  const data = new Float64Array(size(dims));
  everyIndex(dims, (index, flat) => {
    data[flat] = at(index);
  });
  return { type, dims, data };
}

/** The number at an index; where a dimension is 1, or is not there, every index means it: NumPy's stretching. */
export function at({ dims, data }: Literal, index: Index): number {
  let flat = 0;
  const first = index.length - dims.length;
  for (let axis = 0; axis < dims.length; axis++) {
    const dim = dims[axis] ?? 0;
    const place = dim === 1 ? 0 : (index[first + axis] ?? 0);
    if (place < 0 || place >= dim) throw new RangeError(`[${index.join()}] is not within [${dims.join()}].`);
    flat = flat * dim + place;
  }
  return data[flat] ?? Number.NaN;
}

export const ints = (values: readonly number[], dims: readonly number[] = [values.length]): Literal => ({
  type: 'int64',
  dims,
  data: values,
});

export function stretched(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  const dim = (dims: readonly number[], axis: number) => dims[axis - rank + dims.length] ?? 1;
  return Array.from({ length: rank }, (_, axis) => {
    const [one, other] = [dim(a, axis), dim(b, axis)];
    if (one !== other && one !== 1 && other !== 1) throw new RangeError(`[${a.join()}] with [${b.join()}]`);
    return one === 1 ? other : one;
  });
}

export function typeOfCode(code: number): ElementType {
  for (const [name, value] of Object.entries(ELEMENT)) if (value === code) return name as ElementType; // its own keys
  throw new RangeError(`There is no element type ${code}.`);
}
