import type { LevelWeights, Precision } from '../../checkpoint/index.ts';
import { Problem } from '../../problem/index.ts';
import type { Variant, VitConfig } from '../../vit/index.ts';
import type { ElasticModel, EmbedOptions } from '../engine.ts';
import { checkLength } from '../network-tensors.ts';
import { forwardGraph } from './forward.ts';
import { LevelLayout } from './levels.ts';
import { floats, type SessionOptions } from './protocol.ts';
import { structureKey, structureOf } from './structure.ts';
import type { EngineWorker, WorkerPool } from './worker-pool.ts';

export interface ElasticOptions {
  readonly config: VitConfig;
  /** The levels' variants, smallest first, nested; the last is the largest that will be installed. */
  readonly variants: readonly Variant[];
  readonly session: SessionOptions;
  /** What runs the graphs; owned by the model from here on. */
  readonly pool: WorkerPool;
  /** Images that go through the network together. @default 8 */
  readonly maxBatch?: number;
  /** Keep the weights for workers that are replaced. @default true */
  readonly keepWeights?: boolean;
}

/** Images that go through the network together; larger requests are cut. */
const MAX_BATCH = 8;

const NOTHING = { shared: new Map(), increments: new Map(), corrections: new Map() };

/** The levels of a ladder in the graphs of `forward.ts`, on whatever workers carry out the commands of `protocol.ts`. */
export class OnnxModel implements ElasticModel {
  readonly config: VitConfig;
  readonly variants: readonly Variant[];
  readonly precisions: readonly Precision[] = ['fp32'];
  readonly concurrency: number;
  readonly #layout: LevelLayout;
  readonly #session: SessionOptions;
  readonly #pool: WorkerPool;
  readonly #maxBatch: number;
  readonly #keepWeights: boolean;
  /** What a replaced worker is given again. */
  readonly #installed: LevelWeights[] = [];

  constructor(options: ElasticOptions) {
    const { config, variants, session, pool, maxBatch = MAX_BATCH, keepWeights = true } = options;
    this.config = config;
    this.variants = variants;
    this.concurrency = pool.size;
    this.#layout = new LevelLayout(config, variants);
    this.#session = session;
    this.#pool = pool;
    this.#maxBatch = maxBatch;
    this.#keepWeights = keepWeights;
  }

  get loaded(): number {
    return this.#installed.length - 1;
  }

  async install(increment: LevelWeights): Promise<void> {
    const expected = this.#installed.length;
    if (increment.level !== expected) {
      throw new Problem('level-not-loaded', `Level ${increment.level} came, level ${expected} is next.`, {
        level: increment.level,
        expected,
      });
    }
    this.#layout.check(increment);
    const levels = [...this.#installed, increment];
    const workers = this.#pool.workers.filter(({ alive }) => alive);
    const given = await Promise.allSettled(workers.map((worker) => this.#give(worker, levels)));
    // A worker that died meanwhile is replaced at its next use, and given everything then.
    const failed = given.find((result, i) => result.status === 'rejected' && workers[i]?.alive);
    if (failed?.status === 'rejected') throw failed.reason;
    this.#installed.push(this.#keepWeights ? increment : { ...increment, ...NOTHING });
  }

  async embed(pixels: Float32Array, count: number, options: EmbedOptions): Promise<Float32Array> {
    const { level, precision = 'fp32', signal, timeoutMs } = options;
    if (!this.precisions.includes(precision)) {
      throw new Problem('engine-unavailable', `This host cannot run the precision "${precision}".`, {
        precision,
      });
    }
    this.#layout.variant(level);
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
    checkLength('The pixel array', pixels, count, each);
    const result = new Float32Array(count * embeddingWidth);
    const parts: Promise<void>[] = [];
    for (let first = 0; first < count; first += this.#maxBatch) {
      const images = Math.min(this.#maxBatch, count - first);
      const data = pixels.slice(first * each, (first + images) * each);
      const part = this.#pool.use((worker) => this.#embedOn(worker, data, images, level, timeoutMs), signal);
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
    level: number,
    timeoutMs: number | undefined,
  ): Promise<Float32Array> {
    await this.#give(worker, this.#installed.slice(0, level + 1));
    const { imageSize } = this.config;
    const pixels = { type: 'float32', dims: [images, 3, imageSize, imageSize], data } as const;
    const session = structureKey(structureOf(this.config, this.#layout.variant(level)));
    const outputs = await worker.run(session, `level ${level}`, { pixels }, [data.buffer], timeoutMs);
    return floats(outputs, 'embedding');
  }

  /** Gives a worker the levels that it does not have yet, ready to run. */
  async #give(worker: EngineWorker, levels: readonly LevelWeights[]): Promise<void> {
    await worker.ensure('room', () => this.#layout.allocate(worker));
    for (const increment of levels) {
      await worker.ensure(`level ${increment.level}`, () => this.#giveLevel(worker, increment));
    }
  }

  async #giveLevel(worker: EngineWorker, increment: LevelWeights): Promise<void> {
    const { level, corrections } = increment;
    await this.#layout.write(worker, increment);
    const structure = structureOf(this.config, this.#layout.variant(level));
    const session = structureKey(structure);
    await worker.ensure(`session ${session}`, async () => {
      const model = forwardGraph(this.config, structure).encode();
      await worker.send({ kind: 'open', session, ...model, options: this.#session });
    });
    const inputs = this.#layout.inputs(level, new Set(corrections.keys()));
    await worker.send({ kind: 'bind', inputs: `level ${level}`, ...inputs });
  }
}
