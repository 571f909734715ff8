import { z } from 'zod';
import { decimals, encodeBytes, littleEndian } from './image-input.ts';

/** The numbers of an embedding, as Cohere, Voyage and Jina name them. */
export const OUTPUT_TYPES = ['float', 'int8', 'uint8', 'binary', 'ubinary'] as const;
export const OutputTypeSchema = z.enum(OUTPUT_TYPES);
export type OutputType = (typeof OUTPUT_TYPES)[number];

/**
 * An embedding in another type.
 *
 * `int8` is `round(127 x / max|x|)` of each vector by itself, so that cosines stay (dot products do not: scale is lost); `uint8`
 * is `int8 + 128`. `ubinary` has one bit a number, whether it is above zero, eight to a byte, the first in the highest bit, zeros
 * behind the last (NumPy's `packbits`); `binary` is `ubinary - 128`, as Cohere, Voyage and Jina have it.
 * @returns `[dimensions]`, or `[ceil(dimensions / 8)]` of the binary types
 */
export function asType(vector: Float32Array, type: OutputType): Float32Array | Int8Array | Uint8Array {
  switch (type) {
    case 'float':
      return vector;
    case 'int8':
      return scaled(vector);
    case 'uint8':
      return Uint8Array.from(scaled(vector), (value) => value + 128);
    case 'ubinary':
      return signBits(vector);
    case 'binary':
      return Int8Array.from(signBits(vector), (byte) => byte - 128);
  }
}

function scaled(vector: Float32Array): Int8Array {
  let largest = 0;
  for (const value of vector) largest = Math.max(largest, Math.abs(value));
  const scale = largest > 0 ? 127 / largest : 0;
  return Int8Array.from(vector, (value) => Math.round(value * scale));
}

function signBits(vector: Float32Array): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(vector.length / 8));
  vector.forEach((value, i) => {
    if (value > 0) bytes[i >> 3] = (bytes[i >> 3] ?? 0) | (0x80 >> (i & 7));
  });
  return bytes;
}

/** For JSON: numbers, or the bytes of the numbers (float32 little-endian) as base64. */
export function encodeVector(
  vector: Float32Array,
  type: OutputType,
  format: 'float' | 'base64',
): number[] | string {
  const numbers = asType(vector, type);
  if (numbers instanceof Float32Array)
    return format === 'base64' ? encodeBytes(littleEndian(numbers)) : decimals(numbers);
  if (format === 'float') return Array.from(numbers);
  return encodeBytes(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.length));
}
