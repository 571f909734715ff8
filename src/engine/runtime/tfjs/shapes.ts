import type { Operator } from './call.ts';
import { unsqueezed } from './integers.ts';
import { broadcast, transposed } from './values.ts';

/** Operators that move numbers, or look at them otherwise, and compute nothing. */
export const SHAPES: Readonly<Record<string, Operator>> = {
  Reshape: (call) => {
    const x = call.tensor(0);
    // 0 stands for the dimension that is there.
    const shape = call.ints(1).map((dim, axis) => (dim === 0 ? (x.shape[axis] ?? 0) : dim));
    return call.tf.reshape(x, shape);
  },
  Squeeze: (call) => call.tf.squeeze(call.tensor(0), [...call.ints(1)]),
  Unsqueeze: (call) => {
    const x = call.tensor(0);
    return call.tf.reshape(x, unsqueezed(x.shape, call.ints(1)));
  },
  Transpose: (call) => transposed(call.tf, call.tensor(0), call.list('perm')),
  Expand: (call) => {
    const x = call.tensor(0);
    return call.tf.broadcastTo(x, broadcast(x.shape, call.ints(1)));
  },
  Concat: (call) => {
    const parts = Array.from({ length: call.count }, (_, index) => call.tensor(index));
    return call.tf.concat(parts, call.int('axis'));
  },
  Split: (call) => call.tf.split(call.tensor(0), call.int('num_outputs'), call.int('axis', 0)),
  Slice: (call) => {
    const { tf } = call;
    const x = call.tensor(0);
    const begin = x.shape.map(() => 0);
    const end = [...x.shape];
    const stride = x.shape.map(() => 1);
    const [starts, ends, axes] = [call.ints(1), call.ints(2), call.ints(3)];
    const steps = call.has(4) ? call.ints(4) : axes.map(() => 1);
    for (const [at, given] of axes.entries()) {
      const axis = given < 0 ? given + x.rank : given;
      const size = x.shape[axis] ?? 0;
      const within = (place: number) => Math.min(Math.max(place < 0 ? place + size : place, 0), size);
      begin[axis] = within(starts[at] ?? 0);
      end[axis] = within(ends[at] ?? size);
      stride[axis] = steps[at] ?? 1;
    }
    if (stride.some((step) => step < 1)) throw new RangeError('Slices run forwards only.');
    if (stride.some((step) => step > 1)) return tf.stridedSlice(x, begin, end, stride);
    return tf.slice(
      x,
      begin,
      end.map((last, axis) => Math.max(0, last - (begin[axis] ?? 0))),
    );
  },
  Pad: (call) => {
    const pads = call.ints(1);
    const rank = pads.length / 2;
    return call.tf.pad(
      call.tensor(0),
      Array.from({ length: rank }, (_, axis) => [pads[axis] ?? 0, pads[axis + rank] ?? 0]),
    );
  },
  ConstantOfShape: (call) => call.tf.zeros([...call.ints(0)]),
};
