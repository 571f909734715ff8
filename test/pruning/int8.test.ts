import { afterEach, describe, expect, it } from 'vitest';
import {
  asStored,
  type CheckpointContent,
  openCheckpoint,
  publishCheckpoint,
} from '../../src/checkpoint/index.ts';
import { createAnalysis, createModel, ladderOptions } from '../../src/engine/index.ts';
import type { PruningContext } from '../../src/pruning/contracts.ts';
import { embedImages } from '../../src/pruning/fidelity/fidelity.ts';
import { measureInt8 } from '../../src/pruning/int8.ts';
import { memorySteps } from '../../src/pruning/steps/step-store.ts';
import { memoryStore } from '../../src/storage/index.ts';
import { fullVariant, type Tensor, type TensorMap } from '../../src/vit/index.ts';
import { tinyContext } from './tiny-context.ts';

const contexts: PruningContext[] = [];
afterEach(async () => {
  await Promise.all(contexts.splice(0).map(({ model }) => model.dispose()));
});

/** A tiny network as it is stored; `change` may alter its tensors before. */
async function contextWith(change: (tensors: Map<string, Tensor>) => void): Promise<PruningContext> {
  const plain = await tinyContext({ imageSize: 16 }, { fit: 2, held: 6 });
  await plain.model.dispose();
  const changed = new Map(
    [...plain.tensors].map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]),
  );
  change(changed);
  const tensors: TensorMap = asStored(changed, 'split');
  const { config } = plain;
  const context = {
    ...plain,
    tensors,
    model: await createAnalysis({ device: 'cpu', config, tensors, workers: 1 }),
  };
  contexts.push(context);
  return context;
}

const reference = ({ model, images: { held } }: PruningContext) => embedImages(model, held, held.count);

function contentOf({ config, tensors }: PruningContext): CheckpointContent {
  const small = { heads: [1, 1, 2], channels: [9, 12, 20], merge: [2, 0, 0] };
  const fidelity = { fp32: { mean: 1, p5: 1 } };
  const order = (count: number) =>
    Array.from({ length: config.depth }, () => Array.from({ length: count }, (_, unit) => unit));
  const digest = '0'.repeat(64);
  return {
    model: 'tiny',
    config,
    tensors,
    units: { heads: order(config.heads), channels: order(config.channels) },
    levels: [
      { ...small, fidelity },
      { ...fullVariant(config), fidelity },
    ],
    ranking: new Map(),
    keepFp32: [],
    provenance: {
      tool: 'test',
      recipe: {},
      seed: 0,
      path: 'test',
      source: { weights: digest, config: digest },
      images: { digest, used: 0, skipped: 0 },
    },
    dtype: 'split',
  };
}

/**
 * One channel of the stream is multiplied in a block's norm and divided where it is read: the same network, but the rows that
 * are rounded there have one number that is 500 times the others.
 */
function outlier(tensors: Map<string, Tensor>, norm: string, reader: string): void {
  for (const part of ['weight', 'bias']) {
    const data = tensors.get(`${norm}.${part}`)?.data ?? expect.fail(norm);
    data[2] = 500 * (data[2] ?? 0);
  }
  const { data, shape } = tensors.get(`${reader}.weight`) ?? expect.fail(reader);
  const width = shape.at(-1) ?? 1;
  for (let at = 2; at < data.length; at += width) data[at] = (data[at] ?? 0) / 500;
}

describe('the int8 precision of a checkpoint', () => {
  it('is published for every level, as the engine that reads the checkpoint computes it', async () => {
    const context = await contextWith(() => {});
    const { levels, keepFp32 } = await measureInt8(context, contentOf(context), await reference(context), {
      least: 0,
      keep: 1,
    });
    expect(keepFp32).toEqual([]);
    const store = memoryStore();
    await publishCheckpoint(store, { ...contentOf(context), levels, keepFp32 });
    const { manifest, levels: weights } = await openCheckpoint(store, 'tiny');
    const model = await createModel({ ...ladderOptions(manifest), device: 'cpu', workers: 1 });
    expect(model.precisions).toEqual(['fp32', 'int8']);
    for await (const increment of weights()) await model.install(increment);
    const { held } = context.images;
    const indices = Array.from({ length: held.count }, (_, index) => index);
    const pixels = await held.pixels(indices);
    const full = await context.model.embed(pixels, held.count);
    for (const [level, { fidelity }] of manifest.ladder.entries()) {
      const own = await model.embed(pixels, held.count, { level, precision: 'int8' });
      const width = context.config.embeddingWidth;
      const cosines = indices.map((index) => {
        const [a, b] = [own, full].map((all) => all.subarray(index * width, (index + 1) * width));
        const dot = (x: Float32Array = own, y: Float32Array = own) =>
          x.reduce((sum, value, i) => sum + value * (y[i] ?? 0), 0);
        return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
      });
      const mean = cosines.reduce((sum, cosine) => sum + cosine, 0) / cosines.length;
      expect(fidelity.int8?.mean).toBeCloseTo(mean, 5);
    }
    await model.dispose();
  });

  it('keeps the matrix in fp32 whose rounding costs too much, and only that one', async () => {
    const context = await contextWith((tensors) => outlier(tensors, 'blocks.1.norm2', 'blocks.1.mlp.fc1'));
    const content = contentOf(context);
    const without = await measureInt8(context, content, await reference(context), { least: 0, keep: 0 });
    const before = without.levels.at(-1)?.fidelity.int8?.mean ?? 1;
    const least = (1 + before) / 2;
    const { keepFp32, levels } = await measureInt8(
      { ...context, steps: memorySteps() },
      content,
      await reference(context),
      {
        least,
        keep: 0.5,
      },
    );
    expect(keepFp32).toEqual(['blocks.1.mlp.fc1']);
    expect(levels.at(-1)?.fidelity.int8?.mean).toBeGreaterThan(least);
  });

  it('keeps no more than its share, and publishes what that gives', async () => {
    const context = await contextWith((tensors) => outlier(tensors, 'blocks.1.norm2', 'blocks.1.mlp.fc1'));
    const { keepFp32, levels } = await measureInt8(context, contentOf(context), await reference(context), {
      least: 1,
      keep: 0.2,
    });
    // A fifth of three blocks with four matrices each.
    expect(keepFp32).toHaveLength(2);
    expect(levels.at(-1)?.fidelity.int8?.mean).toBeLessThan(1);
  });

  it('is measured once: a job that is started again goes on with what it found', async () => {
    const context = await contextWith(() => {});
    const full = await reference(context);
    const first = await measureInt8(context, contentOf(context), full, { least: 0, keep: 0 });
    const pixels = () => Promise.reject(new Error('measured again'));
    const images = { ...context.images, held: { ...context.images.held, pixels } };
    const again = measureInt8({ ...context, images }, contentOf(context), full, { least: 0, keep: 0 });
    expect(await again).toEqual(first);
  });
});

describe('the precisions of a host', () => {
  it('are those that the checkpoint publishes, or the one that is asked for', async () => {
    const context = await contextWith(() => {});
    const store = memoryStore();
    const { manifest } = await publishCheckpoint(store, contentOf(context));
    expect(ladderOptions(manifest).precisions).toEqual(['fp32']);
    expect(() => ladderOptions(manifest, 'int8')).toThrow(
      expect.objectContaining({ code: 'engine-unavailable' }),
    );
    const ladder = manifest.ladder.map((level) => ({
      ...level,
      fidelity: { ...level.fidelity, int8: { mean: 0.9, p5: 0.8 } },
    }));
    const both = { ...manifest, ladder, keepFp32: ['blocks.0.mlp.fc1'] };
    expect(ladderOptions(both).precisions).toEqual(['fp32', 'int8']);
    expect(ladderOptions(both).keepFp32).toEqual(['blocks.0.mlp.fc1']);
    expect(ladderOptions(both, 'int8').precisions).toEqual(['int8']);
    expect(ladderOptions(both, 'fp32').precisions).toEqual(['fp32']);
  });
});
