/** Arrays of numbers that graphs read: weights, their eight-bit codes, and scales. */
export type NumberArray = Float32Array | Uint8Array | Int8Array;

/** Weights lie in memory that all threads of the process see, so that every engine worker reads the same copy. */
export function sharedFloats(length: number): Float32Array {
  return new Float32Array(sharedBytes(4 * length));
}

/** As {@link sharedFloats}, for eight-bit codes. */
export function sharedCodes(kind: 'uint8' | 'int8', length: number): Uint8Array | Int8Array {
  const bytes = sharedBytes(length);
  return kind === 'uint8' ? new Uint8Array(bytes) : new Int8Array(bytes);
}

/** The same numbers in shared memory. */
export function shared(data: Float32Array): Float32Array {
  const copy = sharedFloats(data.length);
  copy.set(data);
  return copy;
}

/** Where there are no threads there may be no shared memory either; then nobody has to share. */
function sharedBytes(length: number): ArrayBufferLike {
  return typeof SharedArrayBuffer === 'undefined' ? new ArrayBuffer(length) : new SharedArrayBuffer(length);
}
