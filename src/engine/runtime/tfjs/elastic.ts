import { setImmediate } from 'node:timers/promises';
import type { LevelWeights, Precision } from '../../../checkpoint/index.ts';
import { checkLength } from '../../../network/tensors.ts';
import { Problem } from '../../../problem/index.ts';
import type { TensorMap, Variant, VitConfig } from '../../../vit/index.ts';
import type { ElasticModel, EmbedOptions } from '../../engine.ts';
import { LadderRows } from '../../ladder-rows.ts';
import { loadBackend, type Tf, type TfjsBackend } from './backend.ts';
import { forward } from './forward.ts';
import { Turns } from './turns.ts';
import { DeviceWeights, type WeightView } from './weights.ts';

export interface TfjsModelOptions {
  readonly config: VitConfig;
  /** The levels' variants, smallest first, nested; the last is the largest that will be installed. */
  readonly variants: readonly Variant[];
  readonly backend: TfjsBackend;
  /** Batches that are in work at a time: while one is read back the next can be given to the device. @default 1 */
  readonly workers?: number;
}

/** Images that go through the network together; larger requests are cut. */
const MAX_BATCH = 16;

/**
 * Starts TensorFlow.js with a ladder. Levels are installed afterwards, smallest first. All levels share their weights on
 * the device; the level that ran last is kept beside them as tensors of its own, so that one that runs often is cut once.
 * @throws Problem('engine-unavailable') with what to install
 */
export async function createTfjsModel(options: TfjsModelOptions): Promise<ElasticModel> {
  return new TfjsModel(await loadBackend(options.backend), options);
}

class TfjsModel implements ElasticModel {
  readonly config: VitConfig;
  readonly variants: readonly Variant[];
  readonly precisions: readonly Precision[] = ['fp32'];
  readonly concurrency: number;
  readonly #tf: Tf;
  readonly #rows: LadderRows;
  readonly #weights: DeviceWeights;
  readonly #turns: Turns;
  /** The tensors that belong to each installed level alone. */
  readonly #corrections: TensorMap[] = [];
  #current: { readonly level: number; readonly view: WeightView } | undefined;

  constructor(tf: Tf, { config, variants, workers = 1 }: TfjsModelOptions) {
    this.config = config;
    this.variants = variants;
    this.concurrency = workers;
    this.#tf = tf;
    this.#rows = new LadderRows(config, variants);
    this.#weights = new DeviceWeights(tf, config);
    this.#turns = new Turns(workers);
  }

  get loaded(): number {
    return this.#corrections.length - 1;
  }

  async install(increment: LevelWeights): Promise<void> {
    const expected = this.#corrections.length;
    if (increment.level !== expected) {
      throw new Problem('level-not-loaded', `Level ${increment.level} came, level ${expected} is next.`, {
        level: increment.level,
        expected,
      });
    }
    this.#rows.check(increment);
    this.#weights.addShared(increment.shared);
    this.#weights.addUnits(increment.increments);
    this.#corrections.push(increment.corrections);
  }

  async embed(pixels: Float32Array, count: number, options: EmbedOptions): Promise<Float32Array> {
    const { level, precision = 'fp32', signal } = options;
    if (!this.precisions.includes(precision)) {
      throw new Problem('engine-unavailable', `This host cannot run the precision "${precision}".`, {
        precision,
      });
    }
    this.#rows.variant(level);
    if (level > this.loaded) {
      throw new Problem(
        'level-not-loaded',
        `Level ${level} has not been loaded yet; ${this.loaded} is the highest.`,
        { level, loaded: this.loaded },
      );
    }
    const { imageSize, embeddingWidth } = this.config;
    const each = 3 * imageSize ** 2;
    checkLength('The pixel array', pixels.length, count, each);
    const result = new Float32Array(count * embeddingWidth);
    const parts: Promise<void>[] = [];
    for (let first = 0; first < count; first += MAX_BATCH) {
      const images = Math.min(MAX_BATCH, count - first);
      const data = pixels.slice(first * each, (first + images) * each);
      const part = this.#turns.take(() => this.#run(data, images, level), signal);
      parts.push(part.then((embedding) => result.set(embedding, first * embeddingWidth)));
    }
    await Promise.all(parts);
    return result;
  }

  async dispose(): Promise<void> {
    await this.#turns.close();
    this.#current?.view.dispose();
    this.#current = undefined;
    this.#weights.dispose();
  }

  async #run(data: Float32Array, images: number, level: number): Promise<Float32Array> {
    const tf = this.#tf;
    const { imageSize } = this.config;
    const view = this.#view(level); // outside of `tidy`, which would free it
    const embedding = tf.tidy(() => {
      const pixels = tf.tensor4d(data, [images, 3, imageSize, imageSize]);
      return forward(view, pixels, this.#rows.variant(level));
    });
    try {
      const values = await embedding.data<'float32'>();
      await setImmediate(); // computing held the thread: let others have it
      return values;
    } finally {
      embedding.dispose();
    }
  }

  #view(level: number): WeightView {
    if (this.#current?.level === level) return this.#current.view;
    this.#current?.view.dispose();
    const view = this.#weights.view(this.#rows.variant(level), { replaced: this.#corrections[level] });
    this.#current = { level, view };
    return view;
  }
}
