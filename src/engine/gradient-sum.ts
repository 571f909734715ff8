import { contextUnits, keptOf, type Variant, type VitConfig } from '../vit/index.ts';
import type { GradientRequest, Gradients, LastLayerGradients, LastLayerRequest } from './engine.ts';

/**
 * What a chunk of images gives, by name: `embedding`; per block `fc1.i`, `value.i`, `channels.i`, `heads.i` (or `queries.i` and
 * `values.i`), `proj.bias.i`, `proj.weight.i`, `fc2.bias.i` and `fc2.weight.i`, as far as they were asked for.
 */
export type TakeOutput = (name: string) => Float32Array;

/** Puts the chunks of a batch together: sums for weights, rows for images. */
export class GradientSum {
  readonly gradients: Gradients;

  constructor(config: VitConfig, count: number, { weights, gates }: GradientRequest) {
    const perBlock = (size: number) => Array.from({ length: config.depth }, () => new Float32Array(size));
    this.gradients = {
      embeddings: new Float32Array(count * config.embeddingWidth),
      ...(weights && {
        fc1: perBlock(config.channels * config.width),
        value: perBlock(config.heads * config.headDim * config.width),
      }),
      ...(gates && {
        channelGates: perBlock(count * config.channels),
        ...(config.attentionUnits === 'dimensions'
          ? {
              queryGates: perBlock(count * config.headDim),
              valueGates: perBlock(count * config.headDim),
            }
          : { headGates: perBlock(count * config.heads) }),
      }),
    };
    this.#count = count;
  }

  readonly #count: number;

  /** Adds what a chunk that starts at image `first` gives. Chunks come in order. */
  add(first: number, take: TakeOutput): void {
    this.addImages(first, take);
    this.addSums(take);
  }

  /** Adds only what belongs to images. */
  addImages(first: number, take: TakeOutput): void {
    const { embeddings, channelGates, headGates, queryGates, valueGates } = this.gradients;
    this.#place(embeddings, first, take, 'embedding');
    const gates = { channels: channelGates, heads: headGates, queries: queryGates, values: valueGates };
    for (const [kind, perBlock] of Object.entries(gates)) {
      for (const [block, rows] of (perBlock ?? []).entries())
        this.#place(rows, first, take, `${kind}.${block}`);
    }
  }

  /** Adds only what is summed over images. */
  addSums(take: TakeOutput): void {
    const { fc1, value } = this.gradients;
    for (const [block, sum] of (fc1 ?? []).entries()) accumulate(sum, take, `fc1.${block}`);
    for (const [block, sum] of (value ?? []).entries()) accumulate(sum, take, `value.${block}`);
  }

  #place(rows: Float32Array, first: number, take: TakeOutput, name: string): void {
    rows.set(take(name), (first * rows.length) / this.#count);
  }
}

/** Sums the derivatives of last layers over the chunks of a batch. */
export class LastLayerGradientSum {
  readonly gradients: LastLayerGradients;

  constructor(config: VitConfig, variant: Variant, { weights }: LastLayerRequest) {
    const { depth, width } = config;
    const context = contextUnits(config);
    const perBlock = (size: (block: number) => number) =>
      Array.from({ length: depth }, (_, block) => new Float32Array(size(block) * width));
    this.gradients = {
      biases: { attention: perBlock(() => 1), mlp: perBlock(() => 1) },
      ...(weights && {
        weights: {
          attention: perBlock((block) => keptOf(config, variant, context.kind, block) * context.width),
          mlp: perBlock((block) => keptOf(config, variant, 'channels', block)),
        },
      }),
    };
  }

  add(take: TakeOutput): void {
    const { biases, weights } = this.gradients;
    const add = (sums: readonly Float32Array[] | undefined, name: string) => {
      for (const [block, sum] of (sums ?? []).entries())
        if (sum.length > 0) accumulate(sum, take, `${name}.${block}`);
    };
    add(biases.attention, 'proj.bias');
    add(biases.mlp, 'fc2.bias');
    add(weights?.attention, 'proj.weight');
    add(weights?.mlp, 'fc2.weight');
  }
}

function accumulate(sum: Float32Array, take: TakeOutput, name: string): void {
  const part = take(name);
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (part[i] ?? 0);
}
