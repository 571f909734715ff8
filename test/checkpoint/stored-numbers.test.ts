import { describe, expect, it } from 'vitest';
import { asStored, openCheckpoint } from '../../src/checkpoint/index.ts';
import { memoryStore } from '../../src/storage/index.ts';
import { fullVariant, tensorOf } from '../../src/vit/index.ts';
import { publishTiny } from '../support/tiny-store.ts';
import { tinyConfig, tinyTensors } from '../support/tiny-vit.ts';

const config = tinyConfig();
const large = 'blocks.1.mlp.fc1.weight';
/** A network with one number that binary16 cannot hold, in a unit of the full level. */
const tensors = new Map(tinyTensors(config)).set(large, {
  ...tensorOf(tinyTensors(config), large),
  data: tensorOf(tinyTensors(config), large).data.with(-1, 70_000),
});

async function readBack(dtype: 'F16' | 'F32' | 'split', levels?: { fidelity: object }[]) {
  const store = memoryStore();
  await publishTiny(store, { tensors, dtype, ...(levels && { levels: levels as never }) });
  return await (await openCheckpoint(store, 'tiny')).tensors();
}

describe('numbers that are measured before they are stored', () => {
  it.each(['F16', 'F32', 'split'] as const)('are those that are read back: %s', async (dtype) => {
    const read = await readBack(dtype);
    for (const [name, { data }] of asStored(tensors, dtype))
      expect([name, tensorOf(read, name).data]).toEqual([name, data]);
  });

  it('are whole where binary16 cannot hold one of them, and rounded elsewhere', () => {
    const half = asStored(tensors, 'F16');
    expect(tensorOf(half, large)).toBe(tensors.get(large));
    const other = 'blocks.0.mlp.fc1.weight';
    expect(tensorOf(half, other).data).not.toEqual(tensorOf(tensors, other).data);
    expect(tensorOf(half, 'blocks.0.attn.qkv.bias')).toBe(tensors.get('blocks.0.attn.qkv.bias'));
  });

  it('are in planes only where there is a level below the full network', async () => {
    const only = { ...fullVariant(config), fidelity: { fp32: { mean: 1, p5: 1 } } };
    const read = await readBack('split', [only]);
    for (const [name, { data }] of asStored(tensors, 'F16')) expect(tensorOf(read, name).data).toEqual(data);
  });
});
