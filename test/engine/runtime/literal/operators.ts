import type { Attribute, OnnxNode } from '../../../../src/network/proto.ts';
import {
  at,
  everyIndex,
  type Index,
  ints,
  type Literal,
  make,
  size,
  stretched,
  typeOfCode,
} from './array.ts';

/** The operators of the graphs, from ONNX's operator documentation, one number after another. */
type Operator = (inputs: readonly Literal[], attribute: Attributes, node: OnnxNode) => readonly Literal[];
type Attributes = <T extends Attribute>(name: string, fallback?: T) => T;

export const LITERAL_OPERATORS: Readonly<Record<string, Operator>> = {
  Identity: ([x]) => [given(x)],
  Add: two((a, b) => a + b),
  Sub: two((a, b) => a - b),
  Mul: two((a, b) => a * b),
  Div: two((a, b) => a / b),
  Min: two(Math.min),
  Max: two(Math.max),
  Abs: one(Math.abs),
  Neg: one((x) => -x),
  Sqrt: one(Math.sqrt),
  Exp: one(Math.exp),
  Erf: one(erf),
  Tanh: one(Math.tanh),
  Sigmoid: one((x) => 1 / (1 + Math.exp(-x))),
  Gelu: ([x], attribute) => {
    const tanh = attribute<string>('approximate', 'none') === 'tanh';
    const exact = (u: number) => 0.5 * u * (1 + erf(u / Math.SQRT2));
    const near = (u: number) => 0.5 * u * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (u + 0.044715 * u ** 3)));
    return [mapped(given(x), tanh ? near : exact)];
  },
  Cast: ([x], attribute) => {
    const type = typeOfCode(attribute<number>('to'));
    const of = (value: number) =>
      type === 'float' ? value : type === 'bool' ? Number(value !== 0) : Math.trunc(value);
    return [{ ...mapped(given(x), of), type }];
  },

  Shape: ([x], attribute) => {
    const { dims } = given(x);
    return [ints(dims.slice(attribute('start', 0), attribute('end', dims.length)))];
  },
  Reshape: ([x, shape]) => {
    const { type, dims, data } = given(x);
    const asked = [...given(shape).data].map((dim, axis) => (dim === 0 ? (dims[axis] ?? 0) : dim));
    const rest = size(dims) / size(asked.filter((dim) => dim !== -1));
    return [{ type, dims: asked.map((dim) => (dim === -1 ? rest : dim)), data }];
  },
  Squeeze: ([x, axes]) => {
    const { dims } = given(x);
    const gone = positive(given(axes), dims.length);
    return [{ ...given(x), dims: dims.filter((_, axis) => !gone.includes(axis)) }];
  },
  Unsqueeze: ([x, axes]) => {
    const { dims } = given(x);
    const rank = dims.length + given(axes).data.length;
    const ones = positive(given(axes), rank);
    const left = [...dims];
    const grown = Array.from({ length: rank }, (_, axis) => (ones.includes(axis) ? 1 : (left.shift() ?? 0)));
    return [{ ...given(x), dims: grown }];
  },
  Transpose: ([x], attribute) => {
    const perm = attribute<readonly number[]>('perm');
    const { type, dims } = given(x);
    const turned = perm.map((axis) => dims[axis] ?? 0);
    return [
      make(type, turned, (index) =>
        at(
          given(x),
          dims.map((_, axis) => index[perm.indexOf(axis)] ?? 0),
        ),
      ),
    ];
  },
  Expand: ([x, shape]) => {
    const { type, dims } = given(x);
    return [make(type, stretched(dims, [...given(shape).data]), (index) => at(given(x), index))];
  },
  Concat: (inputs, attribute) => {
    const { type, dims } = given(inputs[0]);
    const axis = positiveAxis(attribute<number>('axis'), dims.length);
    const lengths = inputs.map((input) => input.dims[axis] ?? 0);
    const whole = dims.with(
      axis,
      lengths.reduce((sum, length) => sum + length, 0),
    );
    return [
      make(type, whole, (index) => {
        let place = index[axis] ?? 0;
        for (const [i, length] of lengths.entries()) {
          if (place < length) return at(given(inputs[i]), index.with(axis, place));
          place -= length;
        }
        throw new RangeError('behind all parts');
      }),
    ];
  },
  Split: ([x], attribute) => {
    const { type, dims } = given(x);
    const count = attribute<number>('num_outputs');
    const axis = positiveAxis(attribute('axis', 0), dims.length);
    const each = Math.ceil((dims[axis] ?? 0) / count);
    return Array.from({ length: count }, (_, part) => {
      const own = Math.min(each, (dims[axis] ?? 0) - part * each);
      return make(type, dims.with(axis, own), (index) =>
        at(given(x), index.with(axis, part * each + (index[axis] ?? 0))),
      );
    });
  },
  Slice: ([x, starts, ends, axes, steps]) => {
    const { type, dims } = given(x);
    const places = dims.map((length) => Array.from({ length }, (_, place) => place));
    for (const [i, axis] of positive(given(axes), dims.length).entries()) {
      const length = dims[axis] ?? 0;
      const bound = (value: number) => Math.min(Math.max(value < 0 ? value + length : value, 0), length);
      const [first, end, step] = [
        bound(given(starts).data[i] ?? 0),
        bound(given(ends).data[i] ?? 0),
        steps?.data[i] ?? 1,
      ];
      places[axis] = [];
      for (let place = first; place < end; place += step) places[axis]?.push(place);
    }
    const cut = places.map(({ length }) => length);
    return [
      make(type, cut, (index) =>
        at(
          given(x),
          index.map((place, axis) => places[axis]?.[place] ?? 0),
        ),
      ),
    ];
  },
  Pad: ([x, pads]) => {
    const { type, dims } = given(x);
    const [rank, own] = [dims.length, [...given(pads).data]];
    const padded = dims.map((dim, axis) => (own[axis] ?? 0) + dim + (own[axis + rank] ?? 0));
    return [
      make(type, padded, (index) => {
        const inside = index.map((place, axis) => place - (own[axis] ?? 0));
        return inside.every((place, axis) => place >= 0 && place < (dims[axis] ?? 0))
          ? at(given(x), inside)
          : 0;
      }),
    ];
  },
  ConstantOfShape: ([shape]) => [make('float', [...given(shape).data], () => 0)],
  Range: ([start, end, step]) => {
    const [first, last, by] = [start, end, step].map((x) => given(x).data[0] ?? 0);
    const values: number[] = [];
    for (let value = first ?? 0; value < (last ?? 0); value += by ?? 1) values.push(value);
    return [ints(values)];
  },

  MatMul: ([a, b]) => [matMul(given(a), given(b))],
  FusedMatMul: ([a, b], attribute) => [
    matMul(given(a), attribute('transB', 0) ? lastTwoSwapped(given(b)) : given(b)),
  ],
  Gemm: ([a, b, c], attribute) => {
    const left = attribute('transA', 0) ? lastTwoSwapped(given(a)) : given(a);
    const right = attribute('transB', 0) ? lastTwoSwapped(given(b)) : given(b);
    const product = matMul(left, right);
    return [c ? make('float', product.dims, (index) => at(product, index) + at(c, index)) : product];
  },
  Attention: ([query, key, value, mask], attribute) => {
    const { dims } = given(query);
    const scale = attribute('scale', { float: 1 / Math.sqrt(dims[3] ?? 1) }).float;
    const product = matMul(given(query), lastTwoSwapped(given(key)));
    const logits = make(
      'float',
      product.dims,
      (index) => at(product, index) * scale + (mask ? at(mask, index) : 0),
    );
    return [matMul(softmax(logits), given(value))];
  },
  Softmax: ([x]) => [softmax(given(x))],
  LayerNormalization: ([x, weight, bias], attribute) => {
    const { dims } = given(x);
    const last = dims.at(-1) ?? 1;
    const rows = dims.with(-1, 1);
    const epsilon = attribute<{ float: number }>('epsilon').float;
    const along = (index: Index) => Array.from({ length: last }, (_, i) => at(given(x), index.with(-1, i)));
    const mean = make('float', rows, (index) => sum(along(index)) / last);
    const inverse = make('float', rows, (index) => {
      const centre = at(mean, index);
      return 1 / Math.sqrt(sum(along(index).map((value) => (value - centre) ** 2)) / last + epsilon);
    });
    const y = make('float', dims, (index) => {
      const normal = (at(given(x), index) - at(mean, index)) * at(inverse, index);
      return normal * at(given(weight), index) + (bias ? at(bias, index) : 0);
    });
    return [y, mean, inverse];
  },
  SimplifiedLayerNormalization: ([x, weight], attribute) => {
    const { dims } = given(x);
    const last = dims.at(-1) ?? 1;
    const epsilon = attribute<{ float: number }>('epsilon').float;
    return [
      make('float', dims, (index) => {
        const squares = Array.from({ length: last }, (_, i) => at(given(x), index.with(-1, i)) ** 2);
        return (at(given(x), index) / Math.sqrt(sum(squares) / last + epsilon)) * at(given(weight), index);
      }),
    ];
  },
  ReduceMax: over((values) => Math.max(...values)),
  ReduceMean: over((values) => sum(values) / values.length),
  ReduceSum: over(sum),
  ArgMax: ([x], attribute) => {
    const { dims } = given(x);
    const axis = positiveAxis(attribute('axis', 0), dims.length);
    const found = make('int64', dims.with(axis, 1), (index) => {
      const values = Array.from({ length: dims[axis] ?? 0 }, (_, i) => at(given(x), index.with(axis, i)));
      return values.indexOf(Math.max(...values));
    });
    return [attribute('keepdims', 1) ? found : { ...found, dims: dims.filter((_, i) => i !== axis) }];
  },
  TopK: ([x, k], attribute) => {
    const { dims } = given(x);
    const axis = positiveAxis(attribute('axis', -1), dims.length);
    const count = given(k).data[0] ?? 0;
    const indices = make('int64', dims.with(axis, count), (index) => {
      const values = Array.from({ length: dims[axis] ?? 0 }, (_, i) => at(given(x), index.with(axis, i)));
      // The largest first, the earlier of equal ones.
      const order = values.map((_, i) => i).toSorted((a, b) => (values[b] ?? 0) - (values[a] ?? 0) || a - b);
      return order[index[axis] ?? 0] ?? 0;
    });
    const values = make('float', indices.dims, (index) => at(given(x), index.with(axis, at(indices, index))));
    return [values, indices];
  },

  Gather: ([x, indices], attribute) => {
    const { type, dims } = given(x);
    const axis = positiveAxis(attribute('axis', 0), dims.length);
    const places = given(indices);
    const rank = places.dims.length;
    const whole = [...dims.slice(0, axis), ...places.dims, ...dims.slice(axis + 1)];
    return [
      make(type, whole, (index) => {
        const place = at(places, index.slice(axis, axis + rank));
        const within = place < 0 ? place + (dims[axis] ?? 0) : place;
        return at(given(x), [...index.slice(0, axis), within, ...index.slice(axis + rank)]);
      }),
    ];
  },
  GatherND: ([x, indices]) => {
    const { type, dims } = given(x);
    const places = given(indices);
    const depth = places.dims.at(-1) ?? 0;
    const outer = places.dims.slice(0, -1);
    return [
      make(type, [...outer, ...dims.slice(depth)], (index) => {
        const start = Array.from({ length: depth }, (_, i) =>
          at(places, [...index.slice(0, outer.length), i]),
        );
        return at(given(x), [...start, ...index.slice(outer.length)]);
      }),
    ];
  },
  GatherElements: ([x, indices], attribute) => {
    const axis = positiveAxis(attribute('axis', 0), given(x).dims.length);
    const places = given(indices);
    return [make(given(x).type, places.dims, (index) => at(given(x), index.with(axis, at(places, index))))];
  },
  ScatterND: ([data, indices, updates], attribute) => {
    const { type, dims } = given(data);
    const result = Float64Array.from(given(data).data);
    const places = given(indices);
    const depth = places.dims.at(-1) ?? 0;
    const outer = places.dims.length - 1;
    const adds = attribute<string>('reduction', 'none') === 'add';
    everyIndex(given(updates).dims, (index) => {
      const start = Array.from({ length: depth }, (_, i) => at(places, [...index.slice(0, outer), i]));
      const full = [...start, ...index.slice(outer)];
      const flat = full.reduce((offset, place, axis) => offset * (dims[axis] ?? 1) + place, 0);
      const update = at(given(updates), index);
      result[flat] = adds ? (result[flat] ?? 0) + update : update;
    });
    return [{ type, dims, data: result }];
  },
  Compress: ([x, keep], attribute) => {
    const { type, dims } = given(x);
    const axis = positiveAxis(attribute<number>('axis'), dims.length);
    const kept = [...given(keep).data].flatMap((flag, place) => (flag ? [place] : []));
    return [
      make(type, dims.with(axis, kept.length), (index) =>
        at(given(x), index.with(axis, kept[index[axis] ?? 0] ?? 0)),
      ),
    ];
  },
  NonZero: ([x]) => {
    const found: number[][] = [];
    everyIndex(given(x).dims, (index) => {
      if (at(given(x), index) !== 0) found.push([...index]);
    });
    const rank = given(x).dims.length;
    return [make('int64', [rank, found.length], ([axis = 0, i = 0]) => found[i]?.[axis] ?? 0)];
  },

  QuantizeLinear: ([x, scale, zero], attribute) => {
    const axis = attribute('axis', 1);
    const least = zero?.type === 'int8' ? -128 : 0;
    return [
      make(zero?.type ?? 'uint8', given(x).dims, (index) => {
        const own = [index[axis] ?? 0];
        const code = even(at(given(x), index) / at(given(scale), own)) + (zero ? at(zero, own) : 0);
        return Math.min(Math.max(code, least), least + 255);
      }),
    ];
  },
  MatMulIntegerToFloat: ([a, b, aScale, bScale, aZero, bZero]) => {
    const less = (x: Literal, zero: Literal | undefined) =>
      make('float', x.dims, (index) => at(x, index) - (zero?.data[0] ?? 0));
    const product = matMul(less(given(a), aZero), less(given(b), bZero));
    return [
      make('float', product.dims, (index) => {
        return at(product, index) * at(given(aScale), []) * at(given(bScale), index.slice(-1));
      }),
    ];
  },
};

/** The error function by its Maclaurin series (Abramowitz & Stegun 7.1.6), to double precision where |x| < 5. */
function erf(x: number): number {
  if (Math.abs(x) > 5) return Math.sign(x);
  let [term, total] = [x, x];
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(total); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    total += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * total;
}

/** To the nearest whole number; halves to the even one. */
function even(x: number): number {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

function matMul(a: Literal, b: Literal): Literal {
  const [rows = 0, inner = 0] = a.dims.slice(-2);
  const [, columns = 0] = b.dims.slice(-2);
  const outer = stretched(a.dims.slice(0, -2), b.dims.slice(0, -2));
  return make('float', [...outer, rows, columns], (index) => {
    const [row = 0, column = 0] = index.slice(-2);
    const batch = index.slice(0, -2);
    let total = 0;
    for (let k = 0; k < inner; k++) total += at(a, [...batch, row, k]) * at(b, [...batch, k, column]);
    return total;
  });
}

function lastTwoSwapped(x: Literal): Literal {
  const [rows = 0, columns = 0] = x.dims.slice(-2);
  return make(x.type, [...x.dims.slice(0, -2), columns, rows], (index) => {
    const [column = 0, row = 0] = index.slice(-2);
    return at(x, [...index.slice(0, -2), row, column]);
  });
}

function softmax(x: Literal): Literal {
  const last = x.dims.at(-1) ?? 1;
  const largest = make('float', x.dims.with(-1, 1), (index) =>
    Math.max(...Array.from({ length: last }, (_, i) => at(x, index.with(-1, i)))),
  );
  const powers = make('float', x.dims, (index) => Math.exp(at(x, index) - at(largest, index)));
  const totals = make('float', x.dims.with(-1, 1), (index) =>
    sum(Array.from({ length: last }, (_, i) => at(powers, index.with(-1, i)))),
  );
  return make('float', x.dims, (index) => at(powers, index) / at(totals, index));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function one(of: (x: number) => number): Operator {
  return ([x]) => [mapped(given(x), of)];
}

function mapped(x: Literal, of: (value: number) => number): Literal {
  return { ...x, data: Float64Array.from(x.data, of) };
}

function two(of: (a: number, b: number) => number): Operator {
  return ([a, b]) => {
    const dims = stretched(given(a).dims, given(b).dims);
    return [make(given(a).type, dims, (index) => of(at(given(a), index), at(given(b), index)))];
  };
}

function over(of: (values: readonly number[]) => number): Operator {
  return ([x, given_], attribute) => {
    const { type, dims } = given(x);
    const axes = positive(given(given_), dims.length);
    const kept = dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
    const along = axes.map((axis) => dims[axis] ?? 0);
    const result = make(type, kept, (index) => {
      const values: number[] = [];
      everyIndex(along, (place) => {
        values.push(
          at(
            given(x),
            index.map((i, axis) => place[axes.indexOf(axis)] ?? i),
          ),
        );
      });
      return of(values);
    });
    return [
      attribute('keepdims', 1) ? result : { ...result, dims: dims.filter((_, axis) => !axes.includes(axis)) },
    ];
  };
}

function positiveAxis(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

function positive(axes: Literal, rank: number): number[] {
  return [...axes.data].map((axis) => positiveAxis(axis, rank));
}

function given(x: Literal | undefined): Literal {
  if (x) return x;
  throw new Error('An input is missing.');
}
