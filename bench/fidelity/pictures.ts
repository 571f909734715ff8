import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { LabelledImage } from '../../src/evaluation/index.ts';
import type { ImageSet } from '../../src/pruning/contracts.ts';
import type { VitConfig } from '../../src/vit/index.ts';
import { decodePicture, sharpDecoder } from '../../src/vit/node.ts';

/** Labelled pictures as the network reads them. */
export interface LabelledSet {
  readonly images: ImageSet;
  readonly labels: readonly number[];
  /** sha256 over labels and contents, in order. */
  readonly digest: string;
}

/** Pictures in the order of the list; each is decoded once. */
export async function labelledSet(list: readonly LabelledImage[], config: VitConfig): Promise<LabelledSet> {
  const decoder = sharpDecoder();
  const size = 3 * config.imageSize ** 2;
  const bytesOf = (index: number) => readFile(list[index]?.file ?? '');
  const digest = createHash('sha256');
  for (const [index, { label }] of list.entries()) {
    const bytes = await bytesOf(index);
    digest.update(`${label} ${bytes.length} `).update(bytes);
  }
  const decoded = new Map<number, Float32Array>();
  async function pixelsOf(index: number): Promise<Float32Array> {
    const pixels = decoded.get(index) ?? (await decoder.decode(await bytesOf(index), config));
    decoded.set(index, pixels);
    return pixels;
  }
  return {
    images: {
      count: list.length,
      async pixels(indices) {
        const joined = new Float32Array(indices.length * size);
        for (const [at, index] of indices.entries()) joined.set(await pixelsOf(index), at * size);
        return joined;
      },
      picture: async (index) => decodePicture(await bytesOf(index)),
    },
    labels: list.map(({ label }) => label),
    digest: digest.digest('hex'),
  };
}
