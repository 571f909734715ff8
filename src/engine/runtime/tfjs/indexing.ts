import type { Operator } from './call.ts';
import { product } from './values.ts';

/** Operators that take numbers from places, and put them to places, that are numbers themselves. */
export const INDEXING: Readonly<Record<string, Operator>> = {
  Gather: (call) =>
    call.tf.gather(call.tensor(0), call.tf.cast(call.tensor(1), 'int32'), call.int('axis', 0)),
  GatherND: (call) => call.tf.gatherND(call.tensor(0), call.tensor(1)),
  GatherElements: (call) => {
    const { tf } = call;
    const [x, indices] = [call.tensor(0), call.tensor(1)];
    const given = call.int('axis', 0);
    const axis = given < 0 ? given + x.rank : given;
    // Every index becomes a place in all of `x`: its own along the axis, that of the index itself along the others.
    const strides = x.shape.map((_, at) => product(x.shape.slice(at + 1)));
    const others = Int32Array.from({ length: indices.size }, (_, flat) =>
      indices.shape.reduce((place, size, at) => {
        const within = Math.floor(flat / product(indices.shape.slice(at + 1))) % size;
        return at === axis ? place : place + within * (strides[at] ?? 1);
      }, 0),
    );
    const along = tf.mul(indices, tf.scalar(strides[axis] ?? 1, 'int32'));
    const places = tf.add(along, tf.tensor(others, indices.shape, 'int32'));
    return tf.gather(tf.reshape(x, [-1]), places);
  },
  /** Without a reduction no place may be named twice, as ONNX has it. */
  ScatterND: (call) => {
    const { tf } = call;
    const [data, indices, updates] = [call.tensor(0), call.tensor(1), call.tensor(2)];
    const put = tf.scatterND(indices, updates, data.shape);
    const reduction = call.text('reduction', 'none');
    if (reduction === 'add') return tf.add(data, put);
    if (reduction !== 'none') throw new RangeError(`Nothing is scattered by "${reduction}".`);
    const written = tf.scatterND(indices, tf.onesLike(updates), data.shape);
    return tf.where(tf.greater(written, 0), put, data);
  },
  /** Its mask is read back first: how many rows it keeps decides every shape behind it. */
  Compress: (call) => {
    const kept = call.ints(1).flatMap((keep, at) => (keep ? [at] : []));
    return call.tf.gather(call.tensor(0), call.tf.tensor1d(kept, 'int32'), call.int('axis'));
  },
  NonZero: (call) => {
    const [dims, flags] = [call.dims(0), call.ints(0)];
    const found = flags.flatMap((flag, at) => (flag ? [at] : []));
    const places = dims.map((size, axis) =>
      found.map((flat) => Math.floor(flat / product(dims.slice(axis + 1))) % size),
    );
    return call.tf.tensor(places.flat(), [dims.length, found.length], 'int32');
  },
};

/** Inputs that the host has to know, though they are computed on the device. */
export const READ_BACK: Readonly<Record<string, number>> = { Compress: 1, NonZero: 0 };
