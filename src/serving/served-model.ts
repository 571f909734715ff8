import { LatencyProfile, type ProfileEntry } from '../budget/index.ts';
import {
  type Components,
  componentSpace,
  embeddingSpace,
  type Ladder,
  type LevelWeights,
  type Manifest,
  type Precision,
} from '../checkpoint/index.ts';
import type { ElasticModel } from '../engine/index.ts';
import type { ProblemCode } from '../problem/index.ts';
import type { VitConfig } from '../vit/index.ts';
import type { Clock } from './clock.ts';

/** Measured runs of each level at warm-up, after one that is not counted. */
const WARM_RUNS = 3;
/** While requests wait, warming up pauses for so many times what its last run took: it gets a fifth of one worker at most. */
const GIVE_WAY = 4;

/** Loading that no short wait brings further. */
export interface LoadingStopped {
  readonly code: ProblemCode;
  /** When it is tried again, ms on the clock. */
  readonly until: number;
}

/** Whole seconds until a time on the clock, at least one: for `Retry-After`. */
export const secondsUntil = (until: number, clock: Clock): number =>
  Math.max(1, Math.ceil((until - clock.now()) / 1000));

/**
 * A model that answers: an engine, what the manifest says about it, and how long its levels take here. It is ready as
 * soon as its first level has really embedded something on every worker, and grows while further levels arrive. Growing
 * takes one worker at a time from the requests, for one run, and gives way to those that wait.
 */
export class ServedModel {
  /** Why levels above `loaded` are not on their way; `undefined` while they are, or are all here. */
  stopped: LoadingStopped | undefined;

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
  readonly #manifest: Manifest;
  #components: Components | undefined;
  #space: Promise<string> | undefined;
  #componentSpace: Promise<string> | undefined;
  #measured = false;
  #inUse = 0;
  readonly #idle = new Set<() => void>();

  constructor(
    name: string,
    digest: string,
    manifest: Manifest,
    engine: ElasticModel,
    clock: Clock,
    profile: LatencyProfile | Iterable<ProfileEntry> = [],
  ) {
    this.name = name;
    this.digest = digest;
    this.config = manifest.config;
    this.ladder = manifest.ladder;
    this.#manifest = manifest;
    this.engine = engine;
    this.profile = profile instanceof LatencyProfile ? profile : new LatencyProfile(profile);
    this.#clock = clock;
  }

  /** Highest level that may be asked for: loaded, and measured once; -1 before the first. */
  get loaded(): number {
    return this.#warm;
  }

  /** The highest level that this host will ever hold; `undefined` where that is all of them. */
  get ceiling(): number | undefined {
    const held = this.engine.variants.length;
    return held < this.ladder.length ? held - 1 : undefined;
  }

  /** Whether some level was measured here, because the profile that it was given did not know it. */
  get measured(): boolean {
    return this.#measured;
  }

  /** The name of the space that its embeddings lie in. */
  async space(): Promise<string> {
    this.#space ??= embeddingSpace(this.#manifest);
    return await this.#space;
  }

  /** The space of its embeddings' first principal components; that of the embeddings where there are none. */
  async componentSpace(): Promise<string> {
    const space = await this.space();
    if (!this.#components) return space;
    this.#componentSpace ??= componentSpace(space, this.#components);
    return await this.#componentSpace;
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
      const { level } = weights;
      const first = this.#warm < 0;
      const measured = await this.#warmUp(level, first);
      this.#warm = level;
      offered(level);
      if (first) for (const precision of measured) await this.#measure(level, precision, WARM_RUNS);
    }
  }

  /** For a refusal: levels above `loaded` are not on their way, and when they are tried again. */
  get retry(): { readonly retryAfter: number } | undefined {
    return this.stopped && { retryAfter: secondsUntil(this.stopped.until, this.#clock) };
  }

  /** Expected time of a level, ms; from the FLOPs where it has not been measured yet. */
  predict(level: number, precision: Precision): number {
    const known = this.profile.predict(level, precision);
    if (known !== undefined) return known;
    const measured = this.profile.predict(Math.max(0, this.#warm), precision) ?? 1;
    const base = this.ladder[Math.max(0, this.#warm)]?.share ?? 1;
    return (measured * (this.ladder[level]?.share ?? 1)) / base;
  }

  /** Time of a level that 95 of 100 requests stay within, ms. */
  upper(level: number, precision: Precision): number {
    return this.profile.upper(level, precision) ?? this.predict(level, precision);
  }

  /** Counts a request in; the model is not disposed of before it is counted out again. */
  enter(): () => void {
    this.#inUse++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#inUse--;
      if (this.#inUse === 0) for (const tell of [...this.#idle]) tell();
    };
  }

  /** Waits for the requests in work, then frees the engine. */
  async retire(): Promise<void> {
    await this.#whenIdle();
    await this.engine.dispose();
  }

  /** @returns the precisions that have been measured */
  async #warmUp(level: number, first: boolean): Promise<Precision[]> {
    const measured: Precision[] = [];
    for (const precision of this.precisions) {
      if (!this.ladder[level]?.fidelity[precision]) continue;
      // At first every worker, so that readiness means every worker; later one, so that the others go on answering.
      const workers = first ? this.engine.concurrency : 1;
      await Promise.all(Array.from({ length: workers }, () => this.#run(level, precision)));
      if (this.profile.has(level, precision)) continue;
      // Somebody waits for the first level: one run has to do until it has been offered.
      await this.#measure(level, precision, first ? 1 : WARM_RUNS);
      measured.push(precision);
    }
    return measured;
  }

  async #measure(level: number, precision: Precision, runs: number): Promise<void> {
    const times: number[] = [];
    for (let run = 0; run < runs; run++) times.push(await this.#run(level, precision));
    this.profile.measure(level, precision, 1, times);
    this.#measured = true;
  }

  /** Runs a level on nothing, and gives way to the requests that wait. @returns what the run took, ms */
  async #run(level: number, precision: Precision): Promise<number> {
    const pixels = new Float32Array(3 * this.config.imageSize ** 2);
    const began = this.#clock.now();
    await this.engine.embed(pixels, 1, { level, precision });
    const took = this.#clock.now() - began;
    await this.#whenIdle(GIVE_WAY * took);
    return took;
  }

  /** When no request is in work, or after so many milliseconds. */
  async #whenIdle(atMost?: number): Promise<void> {
    if (this.#inUse === 0) return;
    await new Promise<void>((done) => {
      const tell = () => {
        this.#idle.delete(tell);
        cancel?.();
        done();
      };
      const cancel = atMost === undefined ? undefined : this.#clock.after(atMost, tell);
      this.#idle.add(tell);
    });
  }
}
