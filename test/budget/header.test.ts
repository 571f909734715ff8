import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBudgetHeader, tightest } from '../../src/budget/index.ts';
import { isProblem } from '../../src/problem/index.ts';

const position = (text: string): unknown => {
  try {
    parseBudgetHeader(text);
  } catch (error) {
    if (isProblem(error, 'malformed-budget')) return error.details.position;
    throw error;
  }
  return 'accepted';
};

describe('Compute-Budget', () => {
  it('reads terms, their strictness, and nothing else', () => {
    expect(parseBudgetHeader('latency=40;strict, flops=0.7, colour="red"')).toEqual({
      latency: { value: 40, strict: true },
      flops: { value: 0.7, strict: false },
    });
    expect(parseBudgetHeader('')).toEqual({});
  });

  it.each([
    ['latency=40 flops=0.7', 11],
    ['flops=', 6],
    ['flops=0.5, latency=soon', 11],
    ['flops=1.5', 0],
    ['flops=0', 0],
    ['fidelity=2', 0],
    ['gflops=1, level=1.5', 10],
    ['latency=-1', 0],
    ['flops', 0],
    ['level=(1 2)', 0],
  ])('says where "%s" cannot be read', (text, expected) => {
    expect(position(text)).toBe(expected);
  });

  it('reads any text or names a position inside it', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        const found = position(text);
        if (found === 'accepted') return true;
        return typeof found === 'number' && found >= 0 && found <= text.length;
      }),
      { numRuns: 2000 },
    );
  });

  it('combines header and body to the tightest of each term', () => {
    const term = (value: number, strict = false) => ({ value, strict });
    expect(
      tightest(
        { flops: term(0.5), fidelity: term(0.8), latency: term(40, true) },
        { flops: term(0.7, true), fidelity: term(0.9), deadline: term(100) },
      ),
    ).toEqual({ flops: term(0.5, true), fidelity: term(0.9), latency: term(40, true), deadline: term(100) });
  });
});
