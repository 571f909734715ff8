import { afterEach, describe, expect, it, vi } from 'vitest';
import { choosePacking } from '../../src/engine/onnx/packing.ts';
import { fullVariant, parameters } from '../../src/vit/index.ts';
import { tinyConfig } from '../support/tiny-vit.ts';

const config = tinyConfig();
const weights = parameters(config, fullVariant(config));

describe('the choice of what is packed', () => {
  afterEach(() => vi.restoreAllMocks());
  const withFree = (bytes: number) => vi.spyOn(process, 'availableMemory').mockReturnValue(bytes);

  it.each([
    { precisions: ['fp32'] as const, workers: 1, bytes: 4 * weights },
    { precisions: ['fp32', 'int8'] as const, workers: 2, bytes: 10 * weights },
  ])(
    'is the full network while $workers copies in $precisions leave three quarters of what is free',
    (given) => {
      const { precisions, workers, bytes } = given;
      withFree(4 * bytes);
      expect(choosePacking('cpu', { config, precisions, workers })).toBe('full');
      withFree(4 * bytes - 1);
      expect(choosePacking('cpu', { config, precisions, workers })).toBe('none');
    },
  );

  it('is every level on a GPU, where other weights would travel for each run', () => {
    expect(choosePacking('webgpu', { config, precisions: ['fp32'], workers: 1 })).toBe('all');
  });
});
