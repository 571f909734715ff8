import { afterEach, describe, expect, it, vi } from 'vitest';
import { packingByMemory } from '../../src/engine/packing.ts';
import { fullVariant, parameters } from '../../src/vit/index.ts';
import { tinyConfig } from '../support/tiny-vit.ts';

const config = tinyConfig();
const full = fullVariant(config);
const half = { ...full, heads: full.heads.map(() => 1) };
const variants = [half, full];
const [small, large] = [parameters(config, half), parameters(config, full)];

describe('the choice of what is packed', () => {
  afterEach(() => vi.restoreAllMocks());
  const withFree = (bytes: number) => vi.spyOn(process, 'availableMemory').mockReturnValue(bytes);

  it.each([
    { precisions: ['fp32'] as const, workers: 1, bytes: 4 },
    { precisions: ['fp32', 'int8'] as const, workers: 2, bytes: 10 },
  ])('is what the free memory has room for, $workers copies in $precisions', ({ bytes, ...given }) => {
    const chosen = () => packingByMemory({ config, variants, ...given });
    withFree(10 * bytes * (small + large));
    expect(chosen()).toBe('all');
    withFree(10 * bytes * (small + large) - 1);
    expect(chosen()).toBe('full');
    withFree(4 * bytes * large);
    expect(chosen()).toBe('full');
    withFree(4 * bytes * large - 1);
    expect(chosen()).toBe('none');
  });
});
