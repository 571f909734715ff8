import type { Call } from './call.ts';
import { broadcast, Ints, product } from './values.ts';

/** Operators on whole numbers that the host knows. */
export type IntegerOperator = (inputs: readonly Ints[], call: Call) => readonly Ints[];

export const INTEGER_OPERATORS: Readonly<Record<string, IntegerOperator>> = {
  Add: pairwise((a, b) => a + b),
  Sub: pairwise((a, b) => a - b),
  Mul: pairwise((a, b) => a * b),
  Identity: ([x]) => [given(x)],
  Concat: (inputs, call) => {
    alongFirst(call.int('axis'));
    const rest = given(inputs[0]).dims.slice(1);
    const rows = inputs.reduce((sum, { dims }) => sum + (dims[0] ?? 1), 0);
    return [
      new Ints(
        [rows, ...rest],
        inputs.flatMap(({ values }) => values),
      ),
    ];
  },
  Gather: ([x, indices], call) => {
    alongFirst(call.int('axis', 0));
    const { dims, values } = given(x);
    const [rows = 1, ...rest] = dims;
    const each = product(rest);
    const { dims: places, values: at } = given(indices);
    const picked = at.flatMap((index) => {
      const first = (index < 0 ? index + rows : index) * each;
      return values.slice(first, first + each);
    });
    return [new Ints([...places, ...rest], picked)];
  },
  Split: ([x], call) => {
    alongFirst(call.int('axis', 0));
    const { dims, values } = given(x);
    const count = call.int('num_outputs');
    const each = values.length / count;
    const part = [(dims[0] ?? 1) / count, ...dims.slice(1)];
    return Array.from({ length: count }, (_, at) => new Ints(part, values.slice(at * each, (at + 1) * each)));
  },
  Squeeze: ([x, axes]) => {
    const { dims, values } = given(x);
    const gone = given(axes).values.map((axis) => (axis < 0 ? axis + dims.length : axis));
    return [
      new Ints(
        dims.filter((_, axis) => !gone.includes(axis)),
        values,
      ),
    ];
  },
  Unsqueeze: ([x, axes]) => {
    const { dims, values } = given(x);
    return [new Ints(unsqueezed(dims, given(axes).values), values)];
  },
  Range: ([start, end, step]) => {
    const [first, last, by] = [start, end, step].map((one) => given(one).values[0] ?? Number.NaN) as [
      number,
      number,
      number,
    ]; // three were mapped
    const count = Math.max(0, Math.ceil((last - first) / by));
    return [Ints.list(Array.from({ length: count }, (_, at) => first + at * by))];
  },
};

/** Dimensions with ones put in at the given axes of the result. */
export function unsqueezed(dims: readonly number[], axes: readonly number[]): number[] {
  const rank = dims.length + axes.length;
  const ones = new Set(axes.map((axis) => (axis < 0 ? axis + rank : axis)));
  const left = dims.values();
  return Array.from({ length: rank }, (_, axis) => (ones.has(axis) ? 1 : (left.next().value ?? 1)));
}

function pairwise(of: (a: number, b: number) => number): IntegerOperator {
  return ([a, b]) => {
    const [one, other] = [given(a), given(b)];
    const dims = broadcast(one.dims, other.dims);
    const pick = (x: Ints, at: number) => x.values[offset(x.dims, dims, at)] ?? Number.NaN;
    const count = product(dims);
    return [
      new Ints(
        dims,
        Array.from({ length: count }, (_, at) => of(pick(one, at), pick(other, at))),
      ),
    ];
  };
}

/** Where element `at` of the stretched shape lies in the one that was stretched. */
function offset(own: readonly number[], stretched: readonly number[], at: number): number {
  let [found, stride, rest] = [0, 1, at];
  for (let axis = stretched.length - 1; axis >= 0; axis--) {
    const size = stretched[axis] ?? 1;
    const dim = own[axis - stretched.length + own.length] ?? 1;
    if (dim > 1) found += (rest % size) * stride;
    stride *= dim;
    rest = Math.floor(rest / size);
  }
  return found;
}

function given(x: Ints | undefined): Ints {
  if (x) return x;
  throw new Error('A whole number is missing.');
}

function alongFirst(axis: number): void {
  if (axis !== 0) throw new RangeError(`Whole numbers are put together along axis 0 only, not ${axis}.`);
}
