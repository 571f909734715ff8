import type { VitConfig } from '../../vit/index.ts';
import type { Gradients } from '../engine.ts';
import type { DerivativeKinds } from './backward.ts';
import { floats, type Outputs } from './protocol.ts';

/** Puts the chunks of a batch together: sums for weights, rows for images. */
export class GradientSum {
  readonly gradients: Gradients;

  constructor(config: VitConfig, count: number, { weights, gates }: DerivativeKinds) {
    const perBlock = (size: number) => Array.from({ length: config.depth }, () => new Float32Array(size));
    this.gradients = {
      embeddings: new Float32Array(count * config.embeddingWidth),
      ...(weights && {
        fc1: perBlock(config.channels * config.width),
        value: perBlock(config.heads * config.headDim * config.width),
      }),
      ...(gates && {
        channelGates: perBlock(count * config.channels),
        headGates: perBlock(count * config.heads),
      }),
    };
    this.#count = count;
  }

  readonly #count: number;

  /** Adds the outputs of a chunk that starts at image `first`. Chunks come in order. */
  add(first: number, outputs: Outputs): void {
    const { embeddings, fc1, value, channelGates, headGates } = this.gradients;
    this.#place(embeddings, first, outputs, 'embedding');
    for (const [block, sum] of (fc1 ?? []).entries()) accumulate(sum, outputs, `fc1.${block}`);
    for (const [block, sum] of (value ?? []).entries()) accumulate(sum, outputs, `value.${block}`);
    for (const [block, rows] of (channelGates ?? []).entries())
      this.#place(rows, first, outputs, `channels.${block}`);
    for (const [block, rows] of (headGates ?? []).entries())
      this.#place(rows, first, outputs, `heads.${block}`);
  }

  #place(rows: Float32Array, first: number, outputs: Outputs, name: string): void {
    rows.set(floats(outputs, name), (first * rows.length) / this.#count);
  }
}

function accumulate(sum: Float32Array, outputs: Outputs, name: string): void {
  const part = floats(outputs, name);
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (part[i] ?? 0);
}
