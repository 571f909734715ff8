import { describe, expect, it } from 'vitest';
import { fullVariant, type TensorMap, type VitConfig } from '../../src/vit/index.ts';
import { FAMILIES } from '../engine/families.ts';
import { relativeError } from '../support/relative-error.ts';
import { tinyPixels, tinyTensors } from '../support/tiny-vit.ts';
import { literalEmbedding } from './literal-vit.ts';

const dimensions = FAMILIES['dimensions as units of attention'] ?? expect.fail('the family is there');
const { attentionUnits: _, ...heads } = dimensions;

/** The network of heads with the numbers of one of dimensions, zeros where dimensions are left out. */
function asHeads(
  { depth, heads: H, headDim: dh, width: D }: VitConfig,
  tensors: TensorMap,
  { queries = [], values = [] }: { queries?: readonly number[]; values?: readonly number[] },
): TensorMap {
  const changed = new Map(tensors);
  for (let block = 0; block < depth; block++) {
    const at = (name: string) => tensors.get(`blocks.${block}.attn.${name}`)?.data ?? expect.fail(name);
    const [qkv, bias] = [new Float32Array(H * 3 * dh * D), new Float32Array(H * 3 * dh)];
    const proj = new Float32Array(H * dh * D);
    for (let head = 0; head < H; head++) {
      for (let j = 0; j < dh; j++) {
        const take = (part: number, name: string, row: number) => {
          const to = (head * 3 + part) * dh + j;
          qkv.set(at(`${name}.weight`).subarray(row * D, (row + 1) * D), to * D);
          bias[to] = at(`${name}.bias`)[row] ?? Number.NaN;
        };
        if (j < (queries[block] ?? dh)) take(0, 'qk', (2 * j + 0) * H + head);
        if (j < (queries[block] ?? dh)) take(1, 'qk', (2 * j + 1) * H + head);
        if (j >= (values[block] ?? dh)) continue;
        take(2, 'v', j * H + head);
        const row = j * H + head;
        proj.set(at('proj.weight').subarray(row * D, (row + 1) * D), (head * dh + j) * D);
      }
    }
    changed.set(`blocks.${block}.attn.qkv.weight`, { shape: [H, 3, dh, D], data: qkv });
    changed.set(`blocks.${block}.attn.qkv.bias`, { shape: [H, 3, dh], data: bias });
    changed.set(`blocks.${block}.attn.proj.weight`, { shape: [H, dh, D], data: proj });
  }
  return changed;
}

describe('the literal network whose units are dimensions', () => {
  it.each([
    {},
    { merge: [4, 3, 2] },
    { queries: [1, 4, 3] },
    { values: [3, 5, 1] },
    { queries: [2, 1, 5], values: [4, 1, 2], merge: [3, 0, 4] },
  ])('is that of heads in which the dimensions that go are zero: %o', (changes) => {
    const tensors = tinyTensors(dimensions, 3);
    const pixels = tinyPixels(dimensions, 1);
    const found = literalEmbedding(dimensions, tensors, pixels, { ...fullVariant(dimensions), ...changes });
    const { merge } = { ...fullVariant(heads), ...changes };
    const expected = literalEmbedding(heads, asHeads(heads, tensors, changes), pixels, {
      ...fullVariant(heads),
      merge,
    });
    expect(relativeError(found, expected)).toBeLessThan(1e-12);
  });
});
