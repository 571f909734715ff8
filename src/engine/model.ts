import type { LevelWeights, Precision } from '../checkpoint/index.ts';
import {
  checkLength,
  forwardGraph,
  type OnnxGraph,
  type Quantisation,
  structureKey,
  structureOf,
} from '../network/index.ts';
import { Problem } from '../problem/index.ts';
import type { Variant, VitConfig } from '../vit/index.ts';
import { floats, type SessionOptions } from './commands.ts';
import type { ElasticModel, EmbedOptions } from './engine.ts';
import { LevelArrays } from './level-arrays.ts';
import type { NumberArray } from './shared-arrays.ts';
import type { EngineWorker, WorkerPool } from './worker-pool.ts';

/**
 * Which levels have sessions of their own, with the weights inside: those start without being packed for the processor again in every
 * run, and take memory in every worker. All other levels read the weights that the workers share.
 */
export const PACKINGS = ['none', 'full', 'all'] as const;
export type Packing = (typeof PACKINGS)[number];

export interface LadderModelOptions {
  readonly config: VitConfig;
  /** The levels' variants, smallest first, nested; the last is the largest that will be installed. */
  readonly variants: readonly Variant[];
  readonly session: SessionOptions;
  /** What runs the graphs; owned by the model from here on. */
  readonly pool: WorkerPool;
  /** Images that go through the network together. @default 8 */
  readonly maxBatch?: number;
  /** What levels may be computed in. @default ['fp32'] */
  readonly precisions?: readonly Precision[];
  /** How the int8 precision is computed. @default exact on every host, all matrices of units */
  readonly quantisation?: Quantisation;
  /** @default 'none' */
  readonly packing?: Packing;
}

/** Images that go through the network together; larger requests are cut. */
const MAX_BATCH = 8;

const EXACT: Quantisation = { weights: 'uint8', keepFp32: new Set() };

/** The levels of a ladder in the graphs of `forward.ts`, on whatever workers carry out the commands of `protocol.ts`. */
export class LadderModel implements ElasticModel {
  readonly config: VitConfig;
  readonly variants: readonly Variant[];
  readonly precisions: readonly Precision[];
  readonly concurrency: number;
  readonly #arrays: LevelArrays;
  readonly #quantisation: Quantisation;
  readonly #session: SessionOptions;
  readonly #pool: WorkerPool;
  readonly #maxBatch: number;
  readonly #packing: Packing;
  #loaded = -1;

  constructor(options: LadderModelOptions) {
    const { config, variants, session, pool, maxBatch = MAX_BATCH } = options;
    const { precisions = ['fp32'], quantisation = EXACT, packing = 'none' } = options;
    this.config = config;
    this.variants = variants;
    this.precisions = precisions;
    this.concurrency = pool.size;
    this.#arrays = new LevelArrays(config, variants, precisions, quantisation);
    this.#quantisation = quantisation;
    this.#session = session;
    this.#pool = pool;
    this.#maxBatch = maxBatch;
    this.#packing = packing;
  }

  get loaded(): number {
    return this.#loaded;
  }

  async install(increment: LevelWeights): Promise<void> {
    const { level } = increment;
    const expected = this.#loaded + 1;
    if (level !== expected) {
      throw new Problem('level-not-loaded', `Level ${level} came, level ${expected} is next.`, {
        level,
        expected,
      });
    }
    this.#arrays.check(increment);
    await this.#arrays.add(increment);
    const workers = this.#pool.workers.filter(({ alive }) => alive);
    const given = await Promise.allSettled(workers.map((worker) => this.#give(worker, level)));
    // A worker that died meanwhile is replaced at its next use, and given everything then.
    const failed = given.find((result, i) => result.status === 'rejected' && workers[i]?.alive);
    if (failed?.status === 'rejected') throw failed.reason;
    this.#loaded = level;
  }

  async embed(pixels: Float32Array, count: number, options: EmbedOptions): Promise<Float32Array> {
    const { level, precision = 'fp32', signal, timeoutMs } = options;
    if (!this.precisions.includes(precision)) {
      throw new Problem('engine-unavailable', `This host cannot run the precision "${precision}".`, {
        precision,
      });
    }
    this.#arrays.variant(level);
    if (level > this.loaded) {
      throw new Problem(
        'level-not-loaded',
        `Level ${level} has not been loaded yet; ${this.loaded} is the highest.`,
        {
          level,
          loaded: this.loaded,
        },
      );
    }
    const { imageSize, embeddingWidth } = this.config;
    const each = 3 * imageSize ** 2;
    checkLength('The pixel array', pixels.length, count, each);
    const result = new Float32Array(count * embeddingWidth);
    const parts: Promise<void>[] = [];
    for (let first = 0; first < count; first += this.#maxBatch) {
      const images = Math.min(this.#maxBatch, count - first);
      const data = pixels.slice(first * each, (first + images) * each);
      const part = this.#pool.use(
        (worker) => this.#embedOn(worker, data, images, { level, precision, timeoutMs }),
        signal,
      );
      parts.push(part.then((embedding) => result.set(embedding, first * embeddingWidth)));
    }
    await Promise.all(parts);
    return result;
  }

  dispose(): Promise<void> {
    return this.#pool.close();
  }

  async #embedOn(
    worker: EngineWorker,
    data: Float32Array,
    images: number,
    { level, precision, timeoutMs }: { level: number; precision: Precision; timeoutMs: number | undefined },
  ): Promise<Float32Array> {
    await this.#give(worker, level);
    const { imageSize } = this.config;
    const pixels = { type: 'float32', dims: [images, 3, imageSize, imageSize], data } as const;
    const session = this.#sessionOf(level, precision).name;
    const inputs = inputsOf(level, precision);
    const outputs = await worker.run(session, inputs, { pixels }, [data.buffer], timeoutMs);
    return floats(outputs, 'embedding');
  }

  /** Gives a worker what it needs for a level and does not have yet. */
  async #give(worker: EngineWorker, level: number): Promise<void> {
    await worker.ensure('weights', () => share(worker, this.#arrays.common));
    await worker.ensure(`level ${level}`, async () => {
      await share(worker, this.#arrays.own(level));
      for (const precision of this.precisions) {
        const { name, graph } = this.#sessionOf(level, precision);
        await worker.ensure(`session ${name}`, async () => {
          await worker.send({ kind: 'open', session: name, model: graph(), options: this.#session });
        });
        const inputs = this.#arrays.inputs(level, precision);
        await worker.send({ kind: 'bind', inputs: inputsOf(level, precision), ...inputs });
      }
    });
  }

  #sessionOf(level: number, precision: Precision): { name: string; graph: () => OnnxGraph } {
    const structure = structureOf(this.config, this.#arrays.variant(level));
    const quantisation = precision === 'int8' ? this.#quantisation : undefined;
    const graph = () => forwardGraph(this.config, structure, quantisation);
    return this.#packs(level)
      ? {
          name: `${precision} level ${level}`,
          graph: () => graph().holding(this.#arrays.initializers(level, precision)),
        }
      : { name: `${precision} ${structureKey(structure)}`, graph };
  }

  #packs(level: number): boolean {
    return this.#packing === 'all' || (this.#packing === 'full' && level === this.variants.length - 1);
  }
}

const inputsOf = (level: number, precision: Precision): string => `level ${level} ${precision}`;

async function share(worker: EngineWorker, arrays: Iterable<readonly [string, NumberArray]>): Promise<void> {
  for (const [array, data] of arrays) await worker.send({ kind: 'share', array, data });
}
