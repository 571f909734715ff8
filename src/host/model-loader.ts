import {
  type Checkpoint,
  type LevelWeights,
  listModels,
  openCheckpoint,
  readLatest,
} from '../checkpoint/index.ts';
import { createModel, ladderOptions, type ModelOptions, type PrecisionChoice } from '../engine/index.ts';
import type { GatewayLog } from '../gateway/index.ts';
import { isProblem, Problem } from '../problem/index.ts';
import { type Clock, type ModelRegistry, ServedModel } from '../serving/index.ts';
import type { ObjectStore } from '../storage/index.ts';
import { hardwareFingerprint, ProfileStore } from './profile-store.ts';

export interface LoaderOptions {
  readonly store: ObjectStore;
  readonly registry: ModelRegistry;
  readonly clock: Clock;
  readonly log: GatewayLog;
  readonly engine: Pick<ModelOptions, 'device' | 'workers' | 'threads' | 'packing'>;
  /** @default 'auto' */
  readonly precision?: PrecisionChoice | undefined;
  /** Models to serve; all that the store has if absent. */
  readonly models?: readonly string[] | undefined;
  /** How often `latest.json` is looked at, ms; 0 never. */
  readonly pollMs: number;
  /** Whether what is loaded of a model is enough for the gateway to be ready. @default its smallest level is */
  readonly enough?: (model: ServedModel) => boolean;
}

/** Between two tries to go on with a load that the store interrupted: at most this much, at random. */
const LONGEST_WAIT_MS = 30_000;
const FIRST_WAIT_MS = 1_000;

/** A profile that has learnt from so many requests is stored when the gateway stops; storing may take so long, ms. */
const WORTH_KEEPING = 200;
const KEEP_MS = 1000;

/** Keeps the registry filled with what the store says is current. */
export class ModelLoader {
  readonly #options: LoaderOptions;
  readonly #stop = new AbortController();
  readonly #digests = new Map<string, string>();
  readonly #profiles: ProfileStore;
  #timer: NodeJS.Timeout | undefined;
  #loading: Promise<void>[] = [];

  constructor(options: LoaderOptions) {
    this.#options = options;
    this.#profiles = new ProfileStore(options.store, hardwareFingerprint(options.engine), options.log);
  }

  /**
   * Loads every model until it is enough; the rest streams in behind.
   * @returns when every model is enough
   * @throws Problem('unknown-checkpoint') when there is nothing to serve, and whatever the store or the engine throws
   */
  async start(): Promise<void> {
    const { store, models, pollMs } = this.#options;
    const names = models ?? (await listModels(store));
    if (names.length === 0)
      throw new Problem(
        'unknown-checkpoint',
        `${store.url} holds no checkpoint. Make one: concertina prune --model <folder> --images <folder> --store ${store.url}`,
      );
    await Promise.all(names.map((name) => this.#first(name)));
    if (pollMs > 0) {
      this.#timer = setInterval(() => void this.#poll(names), pollMs);
      this.#timer.unref();
    }
  }

  /** When everything that was being loaded is here. */
  async loaded(): Promise<void> {
    await Promise.all(this.#loading);
  }

  /** Ends loading, and stores what requests have taught about latencies for the next start. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stop.abort(new Problem('aborted', 'The gateway is stopping.'));
    const learnt = this.#options.registry
      .all()
      .filter(({ profile }) => profile.observations >= WORTH_KEEPING);
    const signal = AbortSignal.timeout(KEEP_MS);
    const over = new Promise<void>((done) => signal.addEventListener('abort', () => done(), { once: true }));
    await Promise.race([Promise.all(learnt.map((model) => this.#profiles.write(model, signal))), over]);
  }

  /** Offers the model as soon as its smallest level answers. */
  async #first(name: string): Promise<void> {
    const { store, registry, enough = ({ loaded }) => loaded >= 0 } = this.#options;
    const { signal } = this.#stop;
    const checkpoint = await openCheckpoint(store, name, { signal });
    // The first bytes are on their way while the engine starts.
    const levels = begun(checkpoint.levels({ signal }));
    const model = await this.#create(checkpoint);
    await registry.put(model);
    this.#digests.set(name, checkpoint.digest);
    const first = Promise.withResolvers<void>();
    const all = this.#load(model, checkpoint, {
      levels,
      offered: () => enough(model) && first.resolve(),
      // Until then it is the start that has failed.
      goesOn: () => enough(model),
    });
    all.catch(first.reject);
    this.#loading.push(all.catch((error) => this.#failed(name, error)));
    await first.promise;
  }

  /** A newer version takes the place of the old one when all of it is here: nobody gets less because of a swap. */
  async #swap(name: string, digest: string): Promise<void> {
    const { store, registry, log } = this.#options;
    const checkpoint = await openCheckpoint(store, name, { digest, signal: this.#stop.signal });
    const model = await this.#create(checkpoint);
    try {
      await this.#load(model, checkpoint);
    } catch (error) {
      await model.retire();
      throw error;
    }
    await registry.put(model);
    log.note(`${name}: now serving ${digest.slice(0, 12)}`);
  }

  async #create({ model, digest, manifest }: Checkpoint): Promise<ServedModel> {
    const ladder = ladderOptions(manifest, this.#options.precision);
    const [profile, engine] = await Promise.all([
      this.#profiles.read(model, digest, this.#stop.signal),
      createModel({ ...ladder, ...this.#options.engine }),
    ]);
    return new ServedModel(model, digest, manifest, engine, this.#options.clock, profile);
  }

  /** Takes all levels in; where the store fails it is tried again later, from the level that is next. */
  async #load(
    model: ServedModel,
    checkpoint: Checkpoint,
    {
      levels,
      offered,
      goesOn = () => true,
    }: {
      readonly levels?: AsyncIterable<LevelWeights>;
      readonly offered?: () => void;
      readonly goesOn?: () => boolean;
    } = {},
  ): Promise<void> {
    const { signal } = this.#stop;
    let [coming, tries, before] = [levels ?? checkpoint.levels({ signal }), 0, -1];
    for (;;) {
      try {
        await model.load(coming, signal, offered);
        break;
      } catch (error) {
        if (signal.aborted || !isProblem(error) || !PASSING.has(error.code) || !goesOn()) throw error;
        tries = model.loaded > before ? 0 : tries + 1;
        before = model.loaded;
        const wait = Math.random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** tries);
        this.#options.log.note(
          `${model.name}: loading waits at level ${before} for ${(wait / 1000).toFixed(1)} s. ${sentence(error)}`,
        );
        await this.#wait(wait);
        coming = checkpoint.levels({ from: model.engine.loaded + 1, signal });
      }
    }
    if (model.measured) await this.#profiles.write(model, signal);
  }

  #wait(ms: number): Promise<void> {
    const { signal } = this.#stop;
    return new Promise((done, fail) => {
      const cancel = this.#options.clock.after(ms, done);
      signal.addEventListener(
        'abort',
        () => {
          cancel();
          fail(signal.reason);
        },
        { once: true },
      );
    });
  }

  async #poll(names: readonly string[]): Promise<void> {
    const { store, log } = this.#options;
    for (const name of names) {
      try {
        const { digest } = await readLatest(store, name, { signal: this.#stop.signal });
        if (digest === this.#digests.get(name)) continue;
        // Set before it is loaded: a version that cannot be loaded is tried once, not at every look.
        this.#digests.set(name, digest);
        await this.#swap(name, digest);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        log.note(
          `${name}: the store's latest version cannot be loaded, the old one stays. ${sentence(error)}`,
        );
      }
    }
  }

  #failed(name: string, error: unknown): void {
    if (this.#stop.signal.aborted) return;
    this.#options.log.note(`${name}: loading stopped at level ${this.#loadedOf(name)}. ${sentence(error)}`);
  }

  #loadedOf(name: string): number {
    return this.#options.registry.all().find((model) => model.name === name)?.loaded ?? -1;
  }
}

/** What may be over when it is tried again: an outage, credentials that are about to be renewed. */
const PASSING: ReadonlySet<string> = new Set(['store-unavailable', 'store-denied']);

/** The same items, the first of which is asked for at once. */
function begun<T>(items: AsyncIterable<T>): AsyncIterable<T> {
  const iterator = items[Symbol.asyncIterator]();
  const first = iterator.next();
  // Thrown when its turn comes; until then it must not count as unhandled.
  first.catch(() => {});
  return {
    async *[Symbol.asyncIterator]() {
      try {
        for (let item = await first; !item.done; item = await iterator.next()) yield item.value;
      } finally {
        await iterator.return?.();
      }
    },
  };
}

function sentence(error: unknown): string {
  if (isProblem(error)) return `${error.message} (${error.code})`;
  return error instanceof Error ? error.message : String(error);
}
