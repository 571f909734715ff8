import { describe, expect, it } from 'vitest';
import { affordableWorkers, keptOf, threadsBeside } from '../../src/engine/onnx/affordable.ts';

describe('the workers of a network that is pruned', () => {
  // 250 numbers of four bytes: a worker takes 2000 bytes, and three tenths of the memory are for workers.
  const tensors = new Map([
    ['a', { shape: [150], data: new Float32Array(150) }],
    ['b', { shape: [100], data: new Float32Array(100) }],
  ]);

  it.each([
    ['one per core where there is room', 16, 1e6, 16],
    ['as many as there is room for', 16, 20_000, 3],
    ['one where there is room for none', 16, 100, 1],
  ])('are %s', (_, cores, memory, expected) => {
    expect(affordableWorkers(tensors, { cores, memory })).toBe(expected);
  });

  it('keep less for the next call when the network is large', () => {
    // Nothing of it is read: 2 GB of numbers would be in the way of other tests.
    const large = { shape: [5e8], data: { byteLength: 2e9 } as Float32Array };
    expect(keptOf(tensors)).toEqual({ orders: 2, sessions: 8 });
    expect(keptOf(new Map([['a', large]]))).toEqual({ orders: 1, sessions: 1 });
  });

  it('share the cores', () => {
    expect([1, 3, 8, 16, 32].map((workers) => threadsBeside(workers, { cores: 16 }))).toEqual([
      16, 5, 2, 1, 1,
    ]);
  });
});
