import { setImmediate } from 'node:timers/promises';
import type { Tensor } from '@tensorflow/tfjs-core';
import { checkLength, checkTensors } from '../../../network/tensors.ts';
import { Problem } from '../../../problem/index.ts';
import { contextUnits, fullVariant, keptOf, type TensorMap, type VitConfig } from '../../../vit/index.ts';
import type {
  ActivationPlace,
  AnalysisModel,
  AnalysisVariant,
  GradientRequest,
  Gradients,
  LastLayerGradients,
  LastLayerRequest,
} from '../../engine.ts';
import { GradientSum, LastLayerGradientSum } from '../../gradient-sum.ts';
import { attentionContext } from './attention.ts';
import { loadBackend, type Tf, type TfjsBackend } from './backend.ts';
import { forward } from './forward.ts';
import { isOfWeight, lastLayerJacobians, vectorJacobians } from './gradients.ts';
import { hiddenChannels } from './mlp.ts';
import { registerGradients } from './register-gradients.ts';
import type { Scope, Stream } from './scope.ts';
import { embedPixels, rotaryOf } from './stream.ts';
import { DeviceWeights } from './weights.ts';

export interface TfjsAnalysisOptions {
  readonly config: VitConfig;
  /** All canonical tensors. Copied onto the device. */
  readonly tensors: TensorMap;
  readonly backend: TfjsBackend;
}

/** Images that go through the network together. Fixed, so that sums are made in the same order. */
const CHUNK = { forward: 16, backward: 4 } as const;

/**
 * Opens a network for pruning and evaluation on TensorFlow.js.
 * @throws Problem('engine-unavailable') with what to install, ('tensor-mismatch')
 */
export async function createTfjsAnalysis(options: TfjsAnalysisOptions): Promise<AnalysisModel> {
  checkTensors(options.config, options.tensors);
  const tf = await loadBackend(options.backend);
  if (!tf.getGradient('BatchMatMul')) registerGradients();
  return new TfjsAnalysis(tf, options);
}

/** One array of images (or of what belongs to them) and the shape of one entry. */
interface Batch {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

class TfjsAnalysis implements AnalysisModel {
  readonly config: VitConfig;
  readonly #tf: Tf;
  readonly #weights: DeviceWeights;
  readonly #full: AnalysisVariant;
  #closed = false;

  constructor(tf: Tf, { config, tensors }: TfjsAnalysisOptions) {
    this.config = config;
    this.#tf = tf;
    this.#full = { variant: fullVariant(config) };
    this.#weights = new DeviceWeights(tf, config);
    this.#weights.addShared(tensors);
    this.#weights.addUnits(tensors);
  }

  embed(pixels: Float32Array, count: number, network = this.#full): Promise<Float32Array> {
    return this.#collect(network, count, [this.#pixelBatch(pixels, count)], (scope, [images]) =>
      forward(scope, images, network.variant),
    );
  }

  embedTokens(pixels: Float32Array, count: number): Promise<Float32Array> {
    return this.#collect(
      this.#full,
      count,
      [this.#pixelBatch(pixels, count)],
      (scope, [images]) => embedPixels(scope, images).rows,
    );
  }

  async activations(
    stream: Float32Array,
    count: number,
    { block, part, sizes }: ActivationPlace,
    network = this.#full,
  ): Promise<Float32Array> {
    const { width } = this.config;
    const tokens = count === 0 ? 0 : stream.length / count / width;
    checkLength('The residual stream', stream.length, count, Math.trunc(tokens) * width);
    const kind = part === 'attention' ? contextUnits(this.config).kind : 'channels';
    if (keptOf(this.config, network.variant, kind, block) === 0) return new Float32Array(0);
    const sized = part === 'attention' && sizes !== undefined;
    if (sized) checkLength('The token sizes', sizes.length, count, tokens);
    const batches: [Batch, ...Batch[]] = [{ data: stream, dims: [tokens, width] }];
    if (sized) batches.push({ data: sizes, dims: [tokens] });
    return await this.#collect(network, count, batches, (scope, [rows, sized]) => {
      const own = streamOf(scope, rows, sized);
      if (part === 'mlp') return hiddenChannels(scope, own.rows, block);
      return attentionContext(scope, own, block, null).context;
    });
  }

  async gradients(
    pixels: Float32Array,
    count: number,
    cotangents: Float32Array,
    wanted: GradientRequest,
  ): Promise<Gradients> {
    const { embeddingWidth } = this.config;
    checkLength('The cotangents', cotangents.length, count, embeddingWidth);
    const batches = [this.#pixelBatch(pixels, count), { data: cotangents, dims: [embeddingWidth] }] as const;
    const result = new GradientSum(this.config, count, wanted);
    /** Sums over images stay on the device until the end. */
    const sums = new Map<string, Tensor>();
    const compute = (scope: Scope, [images, given]: Parts) => {
      const outputs = vectorJacobians(scope, images, given ?? images, wanted);
      for (const [name, part] of Object.entries(outputs)) {
        if (!isOfWeight(name)) continue;
        const before = sums.get(name);
        sums.set(name, this.#tf.keep(before ? this.#tf.add(before, part) : part));
        before?.dispose();
        delete outputs[name];
      }
      return outputs;
    };
    try {
      for await (const { first, values } of this.#chunks(this.#full, count, CHUNK.backward, batches, compute))
        result.addImages(first, (name) => values[name] ?? missing(name));
      if (wanted.weights && count > 0) {
        const values = await readAll(Object.fromEntries(sums));
        result.addSums((name) => values[name] ?? missing(name));
      }
    } finally {
      this.#tf.dispose([...sums.values()]);
    }
    return result.gradients;
  }

  async lastLayerGradients(
    pixels: Float32Array,
    count: number,
    cotangents: Float32Array,
    network: AnalysisVariant,
    wanted: LastLayerRequest,
  ): Promise<LastLayerGradients> {
    const { embeddingWidth } = this.config;
    checkLength('The cotangents', cotangents.length, count, embeddingWidth);
    const batches = [this.#pixelBatch(pixels, count), { data: cotangents, dims: [embeddingWidth] }] as const;
    const sum = new LastLayerGradientSum(this.config, network.variant, wanted);
    const compute = (scope: Scope, [images, given]: Parts) =>
      lastLayerJacobians(scope, images, given ?? images, { variant: network.variant, ...wanted });
    for await (const { values } of this.#chunks(network, count, CHUNK.backward, batches, compute))
      sum.add((name) => values[name] ?? missing(name));
    return sum.gradients;
  }

  async dispose(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#weights.dispose();
  }

  #pixelBatch(pixels: Float32Array, count: number): Batch {
    const { imageSize } = this.config;
    checkLength('The pixel array', pixels.length, count, 3 * imageSize ** 2);
    return { data: pixels, dims: [3, imageSize, imageSize] };
  }

  async #collect(
    network: AnalysisVariant,
    count: number,
    batches: readonly [Batch, ...Batch[]],
    compute: (scope: Scope, parts: Parts) => Tensor,
  ): Promise<Float32Array> {
    const pieces: Float32Array[] = [];
    const run = (scope: Scope, parts: Parts) => ({ output: compute(scope, parts) });
    for await (const { values } of this.#chunks(network, count, CHUNK.forward, batches, run))
      pieces.push(values.output ?? missing('output'));
    const result = new Float32Array(pieces.reduce((length, piece) => length + piece.length, 0));
    let at = 0;
    for (const piece of pieces) {
      result.set(piece, at);
      at += piece.length;
    }
    return result;
  }

  /** Runs the images in chunks of fixed size, one after the other. */
  async *#chunks(
    { variant, units, replaced }: AnalysisVariant,
    count: number,
    size: number,
    batches: readonly [Batch, ...Batch[]],
    compute: (scope: Scope, parts: Parts) => Record<string, Tensor>,
  ): AsyncGenerator<{ first: number; values: Readonly<Record<string, Float32Array>> }> {
    if (this.#closed) throw new Problem('engine-failed', 'The engine was disposed.');
    const view = this.#weights.view(variant, { units, replaced });
    try {
      for (let first = 0; first < count; first += size) {
        const images = Math.min(size, count - first);
        const outputs = this.#tf.tidy(() => {
          const parts = batches.map((batch) => this.#cut(batch, first, images));
          return compute(view, parts as [Tensor, ...Tensor[]]); // as many as there are batches
        });
        const values = await readAll(outputs);
        await setImmediate(); // computing held the thread: let others have it
        yield { first, values };
      }
    } finally {
      view.dispose();
    }
  }

  #cut({ data, dims }: Batch, first: number, images: number): Tensor {
    const each = dims.reduce((product, dim) => product * dim, 1);
    return this.#tf.tensor(data.slice(first * each, (first + images) * each), [images, ...dims]);
  }
}

type Parts = readonly [Tensor, ...Tensor[]];

/** Reads tensors back and frees them. */
async function readAll(tensors: Readonly<Record<string, Tensor>>): Promise<Record<string, Float32Array>> {
  const values: Record<string, Float32Array> = {};
  for (const [name, tensor] of Object.entries(tensors)) {
    values[name] = await tensor.data<'float32'>();
    tensor.dispose();
  }
  return values;
}

/** Given tokens as a stream. @param rows `[images, T, D]` @param sizes `[images, T]` */
function streamOf(scope: Scope, rows: Tensor, sizes: Tensor | undefined): Stream {
  const { tf } = scope;
  const [images = 0, tokens = 0, width = 0] = rows.shape;
  return {
    rows: tf.reshape(rows, [images * tokens, width]),
    images,
    tokens,
    ...(sizes && { sizes: tf.reshape(sizes, [images * tokens, 1]) }),
    ...rotaryOf(scope),
  };
}

function missing(name: string): never {
  throw new Problem('engine-failed', `The network gave no "${name}".`);
}
