import { z } from 'zod';
import type { Tensor, TensorMap } from '../../vit/index.ts';

const HeaderSchema = z.array(
  z.strictObject({ name: z.string(), shape: z.array(z.number().int().nonnegative()) }),
);

/** Tensors as bytes for the step store: the length of a JSON header, the header, the float32 data in its order. */
export function tensorsToBytes(tensors: TensorMap): Uint8Array {
  const header = Buffer.from(JSON.stringify([...tensors].map(([name, { shape }]) => ({ name, shape }))));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  const data = [...tensors.values()].map(({ data }) =>
    Buffer.from(data.buffer, data.byteOffset, data.byteLength),
  );
  return Buffer.concat([length, header, ...data]);
}

/** The inverse of {@link tensorsToBytes}. */
export function tensorsFromBytes(bytes: Uint8Array): TensorMap {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 4 + view.readUInt32LE(0);
  const header = HeaderSchema.parse(JSON.parse(view.toString('utf8', 4, at)));
  const tensors = new Map<string, Tensor>();
  for (const { name, shape } of header) {
    const size = shape.reduce((product, side) => product * side, 1) * Float32Array.BYTES_PER_ELEMENT;
    // A copy, because the data may begin at any byte and Float32Array needs a multiple of four.
    tensors.set(name, {
      shape,
      data: new Float32Array(Uint8Array.from(view.subarray(at, at + size)).buffer),
    });
    at += size;
  }
  return tensors;
}
