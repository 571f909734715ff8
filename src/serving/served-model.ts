import { LatencyProfile, type ProfileEntry } from '../budget/index.ts';
import type { Components, Ladder, LevelWeights, Manifest, Precision } from '../checkpoint/index.ts';
import type { ElasticModel } from '../engine/index.ts';
import type { VitConfig } from '../vit/index.ts';
import type { Clock } from './clock.ts';

/** Runs of each level at warm-up; the first one is not counted. */
const WARM_RUNS = 4;

/**
 * A model that answers: an engine, what the manifest says about it, and how long its levels take here. It is ready as
 * soon as its first level has really embedded something on every worker, and grows while further levels arrive.
 */
export class ServedModel {
  readonly name: string;
  readonly digest: string;
  readonly config: VitConfig;
  readonly ladder: Ladder;
  readonly profile: LatencyProfile;
  readonly engine: ElasticModel;
  /** When this gateway took it up, seconds since 1970. */
  readonly created = Math.floor(Date.now() / 1000);
  readonly #clock: Clock;
  #warm = -1;
  #components: Components | undefined;
  #inUse = 0;
  #idle: (() => void) | undefined;

  constructor(
    name: string,
    digest: string,
    manifest: Manifest,
    engine: ElasticModel,
    clock: Clock,
    profile: Iterable<ProfileEntry> = [],
  ) {
    this.name = name;
    this.digest = digest;
    this.config = manifest.config;
    this.ladder = manifest.ladder;
    this.engine = engine;
    this.profile = new LatencyProfile(profile);
    this.#clock = clock;
  }

  /** Highest level that may be asked for: loaded, and measured once; -1 before the first. */
  get loaded(): number {
    return this.#warm;
  }

  get components(): Components | undefined {
    return this.#components;
  }

  get precisions(): readonly Precision[] {
    return this.engine.precisions;
  }

  /**
   * Takes the weights in level order; each level is measured before it is offered.
   * @param offered told about every level that may be asked for from now on
   */
  async load(
    levels: AsyncIterable<LevelWeights>,
    signal?: AbortSignal,
    offered: (level: number) => void = () => {},
  ): Promise<void> {
    for await (const weights of levels) {
      signal?.throwIfAborted();
      const mean = weights.shared.get('pca.mean');
      const matrix = weights.shared.get('pca.components');
      if (mean && matrix)
        this.#components = { mean: mean.data, matrix: matrix.data, count: matrix.shape[0] ?? 0 };
      await this.engine.install(weights);
      await this.#warmUp(weights.level);
      this.#warm = weights.level;
      offered(weights.level);
    }
  }

  /** Expected time of a level, ms; from the FLOPs where it has not been measured yet. */
  predict(level: number, precision: Precision): number {
    const known = this.profile.predict(level, precision);
    if (known !== undefined) return known;
    const measured = this.profile.predict(Math.max(0, this.#warm), 'fp32') ?? 1;
    const base = this.ladder[Math.max(0, this.#warm)]?.share ?? 1;
    return (measured * (this.ladder[level]?.share ?? 1)) / base;
  }

  /** Counts a request in; the model is not disposed of before it is counted out again. */
  enter(): () => void {
    this.#inUse++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#inUse--;
      if (this.#inUse === 0) this.#idle?.();
    };
  }

  /** Waits for the requests in work, then frees the engine. */
  async retire(): Promise<void> {
    if (this.#inUse > 0) {
      await new Promise<void>((done) => {
        this.#idle = done;
      });
    }
    await this.engine.dispose();
  }

  async #warmUp(level: number): Promise<void> {
    const size = 3 * this.config.imageSize ** 2;
    const pixels = new Float32Array(size);
    for (const precision of this.precisions) {
      if (!this.ladder[level]?.fidelity[precision]) continue;
      // Every worker once, so that readiness means every worker.
      await Promise.all(
        Array.from({ length: this.engine.concurrency }, () =>
          this.engine.embed(pixels, 1, { level, precision }),
        ),
      );
      if (this.profile.has(level, precision)) continue;
      const times: number[] = [];
      for (let run = 0; run < WARM_RUNS; run++) {
        const began = this.#clock.now();
        await this.engine.embed(pixels, 1, { level, precision });
        if (run > 0) times.push(this.#clock.now() - began);
      }
      this.profile.measure(level, precision, 1, times);
    }
  }
}
