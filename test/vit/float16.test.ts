import { describe, expect, it } from 'vitest';
import { decodeTensor } from '../../src/vit/index.ts';
import { decodeHalf, encodeHalf, floatToHalf, halfToFloat } from '../../src/vit/kernels/float16.ts';

const everyPattern = Array.from({ length: 65536 }, (_, bits) => bits);
/** All of them, little-endian. */
const patterns = new Uint8Array(Uint16Array.from(everyPattern).buffer);

/** binary16 by its definition: (-1)^s 2^(e - 15) (1 + m / 1024), or (-1)^s 2^-14 (m / 1024) where e is 0. */
function literalHalf(bits: number): number {
  const [sign, exponent, mantissa] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0
    ? sign * 2 ** -14 * (mantissa / 1024)
    : sign * 2 ** (exponent - 15) * (1 + mantissa / 1024);
}

describe('binary16', () => {
  it('is decoded by its definition, all 65536 of it', () => {
    const decoded = decodeHalf(patterns);
    const wrong = everyPattern.filter(
      (bits) =>
        !Object.is(decoded[bits], literalHalf(bits)) || !Object.is(halfToFloat(bits), literalHalf(bits)),
    );
    expect(wrong).toEqual([]);
  });

  it('is encoded back to the same bits, all of it that is a number', () => {
    const back = encodeHalf(decodeHalf(patterns));
    const wrong = everyPattern.filter((bits) => {
      const found = (back[2 * bits] ?? 0) | ((back[2 * bits + 1] ?? 0) << 8);
      return Number.isNaN(literalHalf(bits)) ? !Number.isNaN(literalHalf(found)) : found !== bits;
    });
    expect(wrong).toEqual([]);
  });

  it('rounds to the nearest, ties to even: midpoints between all neighbours and a bit beside them', () => {
    const wrong = everyPattern.slice(0, 0x7bff).filter((bits) => {
      const [low, high] = [literalHalf(bits), literalHalf(bits + 1)];
      const middle = (low + high) / 2;
      const even = bits % 2 === 0 ? bits : bits + 1;
      const beside = (high - low) / 2048;
      const found = [middle, -middle, middle + beside, middle - beside].map(floatToHalf);
      return found.join() !== [even, even | 0x8000, bits + 1, bits].join();
    });
    expect(wrong).toEqual([]);
  });

  it('overflows to infinity from 65520 on and underflows to zero up to 2^-25', () => {
    expect(floatToHalf(65519.996)).toBe(0x7bff);
    expect(floatToHalf(65520)).toBe(0x7c00);
    expect(floatToHalf(-1e38)).toBe(0xfc00);
    expect(floatToHalf(2 ** -25)).toBe(0);
    expect(floatToHalf(2 ** -25 * 1.0001)).toBe(1);
    expect(floatToHalf(-0)).toBe(0x8000);
    expect(floatToHalf(1e-45)).toBe(0);
  });
});

describe('bfloat16', () => {
  it('is the upper half of a float32, all 65536 of it', () => {
    const { data } = decodeTensor('w', { dtype: 'BF16', shape: [65536] }, patterns);
    const view = new DataView(new ArrayBuffer(4));
    const wrong = everyPattern.filter((bits) => {
      view.setUint32(0, bits * 65536);
      return !Object.is(data[bits], view.getFloat32(0));
    });
    expect(wrong).toEqual([]);
  });
});
