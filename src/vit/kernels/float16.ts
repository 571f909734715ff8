/**
 * IEEE 754 binary16 and bfloat16, for stored weights. Written out because `Float16Array` is not everywhere yet.
 */

const scratch = new DataView(new ArrayBuffer(4));

/** Nearest binary16, ties to even; overflow gives infinity, NaN stays NaN. */
export function floatToHalf(value: number): number {
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const exponent = (bits >>> 23) & 0xff;
  const mantissa = bits & 0x7fffff;
  if (exponent === 0xff) return sign | 0x7c00 | (mantissa === 0 ? 0 : 0x200);
  const unbiased = exponent - 112; // 127 - 15
  if (unbiased >= 31) return sign | 0x7c00;
  // Bits below the half's last place: 13 for normal numbers, more for subnormal ones.
  const shift = unbiased > 0 ? 13 : 14 - unbiased;
  if (shift > 24) return sign;
  const significand = unbiased > 0 ? mantissa : mantissa | 0x800000;
  const kept = significand >>> shift;
  const rest = significand & ((1 << shift) - 1);
  const tie = 1 << (shift - 1);
  const rounded = kept + Number(rest > tie || (rest === tie && (kept & 1) === 1));
  // A carry out of the mantissa moves into the exponent, which is the right number (also to infinity).
  return sign | (unbiased > 0 ? (unbiased << 10) + rounded : rounded);
}

/** The number that a binary16 stands for. */
export function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0x1f) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

let table: Float32Array | undefined;

/** Little-endian binary16 bytes to float32. */
export function decodeHalf(bytes: Uint8Array): Float32Array {
  table ??= Float32Array.from({ length: 65536 }, (_, half) => halfToFloat(half));
  const out = new Float32Array(bytes.byteLength >> 1);
  for (let i = 0; i < out.length; i++) out[i] = table[bytes[2 * i] | (bytes[2 * i + 1] << 8)];
  return out;
}

/** Float32 to little-endian binary16 bytes. */
export function encodeHalf(values: Float32Array): Uint8Array {
  const out = new Uint8Array(values.length * 2);
  for (let i = 0; i < values.length; i++) {
    const half = floatToHalf(values[i]);
    out[2 * i] = half & 0xff;
    out[2 * i + 1] = half >>> 8;
  }
  return out;
}

/** Little-endian bfloat16 bytes (the upper half of a float32) to float32. */
export function decodeBrainFloat(bytes: Uint8Array): Float32Array {
  const words = new Uint32Array(bytes.byteLength >> 1);
  for (let i = 0; i < words.length; i++) words[i] = (bytes[2 * i] << 16) | (bytes[2 * i + 1] << 24);
  return new Float32Array(words.buffer);
}
