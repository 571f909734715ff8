import { describe, expect, it } from 'vitest';
import { readConfigJson } from '../../src/vit/config-json/index.ts';
import { expectedTensors } from '../../src/vit/index.ts';
import { readFamily } from '../../src/vit/names/index.ts';
import {
  processorFile,
  publishedNetworks,
  publishedTensors,
  resolvePublished,
  zeros,
} from '../../tools/models-page/networks.ts';

/** Blocks, heads and width of every network of the paper (its appendix; DINOv2, CLIP and SigLIP from their papers). */
const SHAPES: Readonly<Record<string, Readonly<Record<string, readonly [number, number, number]>>>> = {
  DINO: { 'S/16': [12, 6, 384], 'B/16': [12, 12, 768] },
  DINOv3: { 'B/16': [12, 12, 768], 'H+/16': [32, 20, 1280] },
  SigLIP2: { 'B/16': [12, 12, 768], 'g-opt/16': [40, 16, 1536] },
  DeiT: { 'B/16 distilled': [12, 12, 768] },
  'DeiT III': {
    'S/16': [12, 6, 384],
    'B/16': [12, 12, 768],
    'L/16': [24, 16, 1024],
    'H/14': [32, 16, 1280],
  },
  AugReg: { 'Ti/16': [12, 3, 192], 'S/16': [12, 6, 384], 'B/16': [12, 12, 768], 'L/16': [24, 16, 1024] },
  'DINOv2 with registers': {
    'S/14': [12, 6, 384],
    'B/14': [12, 12, 768],
    'L/14': [24, 16, 1024],
    'g/14': [40, 24, 1536],
  },
  CLIP: { 'B/16': [12, 12, 768], 'L/14': [24, 16, 1024] },
  SigLIP: { 'B/16': [12, 12, 768], 'so400m/14': [27, 16, 1152] },
};

describe.each(publishedNetworks())('$name', (network) => {
  it('has the shape that its paper gives it', () => {
    const { depth, heads, width } = resolvePublished(network).config;
    expect([depth, heads, width]).toEqual(SHAPES[network.family]?.[network.size]);
  });

  it('loads: every tensor is found in its place, and none is left over', async () => {
    // All blocks have the same tensors (the script that lists them checks it); one of them is read.
    const shapes = publishedTensors(network, 1);
    const all = readConfigJson(network.config, processorFile(network.processor));
    const hints = { ...all, stated: { ...all.stated, depth: 1 } };
    const { config, tensors } = await readFamily(network.name, zeros(network.name, shapes), hints);
    expect(config).toEqual({ ...resolvePublished(network).config, depth: 1 });
    const found = [...tensors].map(([name, { shape, data }]) => [name, shape, data.length]);
    const size = (shape: readonly number[]) => shape.reduce((product, side) => product * side, 1);
    expect(new Set(found.map(String))).toEqual(
      new Set([...expectedTensors(config)].map(([name, shape]) => String([name, shape, size(shape)]))),
    );
    const norm = /\b0\.(norm2|layer_norm2|layernorm_after)\.weight$/;
    const [some] = [...shapes.keys()].filter((name) => norm.test(name) && !name.startsWith('text_model.'));
    expect(some).toBeDefined();
    const without = new Map([...shapes].filter(([name]) => name !== some));
    await expect(readFamily(network.name, zeros(network.name, without), hints)).rejects.toMatchObject({
      code: 'tensor-mismatch',
    });
  });
});

it('every family and size of the paper is among them', () => {
  const listed = new Set(publishedNetworks().map(({ family, size }) => `${family} ${size}`));
  const wanted = Object.entries(SHAPES).flatMap(([family, sizes]) =>
    Object.keys(sizes).map((size) => `${family} ${size}`),
  );
  expect([...listed].sort()).toEqual(wanted.sort());
});
