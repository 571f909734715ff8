import { describe, expect, it } from 'vitest';
import { elementOf, fullVariant, keptOf, orderOf, parameters, tensorOf } from '../../src/vit/index.ts';
import { tinyConfig, tinyTensors } from '../support/tiny-vit.ts';

const config = tinyConfig();

describe('what is missing', () => {
  it('is no tensor of zeros, but a problem that names it', () => {
    const tensors = tinyTensors(config);
    expect(tensorOf(tensors, 'norm.weight')).toBe(tensors.get('norm.weight'));
    expect(() => tensorOf(tensors, 'blocks.3.norm1.weight')).toThrow(
      expect.objectContaining({
        code: 'tensor-mismatch',
        message: expect.stringContaining('blocks.3.norm1.weight'),
      }),
    );
  });

  it('is no element of a list', () => {
    expect(elementOf([0, 0], 1)).toBe(0);
    expect(() => elementOf([5, 6], 2)).toThrow('no element 2: the list has 2');
    expect(() => elementOf(new Float32Array(3), -1)).toThrow(RangeError);
    expect(() => elementOf(undefined, 0)).toThrow('there is no list');
  });

  it('is no unit that is kept, and no order of units', () => {
    const short = { ...fullVariant(config), heads: [3, 3] };
    expect(keptOf(config, short, 'heads', 1)).toBe(3);
    expect(() => keptOf(config, short, 'heads', 2)).toThrow(RangeError);
    expect(() => parameters(config, short)).toThrow(RangeError);
    const units = { heads: [[2, 0, 1]], channels: [] };
    expect(orderOf(units, 'heads', 0)).toEqual([2, 0, 1]);
    expect(() => orderOf(units, 'channels', 0)).toThrow(RangeError);
    expect(() => orderOf(units, 'values', 0)).toThrow('no order of values');
  });
});
