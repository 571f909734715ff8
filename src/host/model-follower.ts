import { type Checkpoint, type LevelWeights, openCheckpoint, readLatest } from '../checkpoint/index.ts';
import { createModel, ladderOptions, type ModelOptions, type PrecisionChoice } from '../engine/index.ts';
import type { GatewayLog } from '../gateway/index.ts';
import { isProblem, Problem } from '../problem/index.ts';
import { type Clock, type ModelRegistry, ServedModel } from '../serving/index.ts';
import type { ObjectStore } from '../storage/index.ts';
import type { ProfileStore } from './profile-store.ts';

export interface FollowerOptions {
  readonly store: ObjectStore;
  readonly registry: ModelRegistry;
  readonly clock: Clock;
  readonly log: GatewayLog;
  readonly engine: Pick<ModelOptions, 'device' | 'onFallback' | 'workers' | 'threads' | 'packing'>;
  readonly precision?: PrecisionChoice | undefined;
  readonly profiles: ProfileStore;
  /** Whether what is loaded of a model is enough for the gateway to be ready. */
  readonly enough: (model: ServedModel) => boolean;
  /** Wait before bytes that cannot be used are read again, ms; twice as long every further time, up to {@link LONGEST_REREAD_MS}. */
  readonly rereadMs: number;
}

/** Between two tries to go on with a load that the store interrupted: at most this much, at random. */
const LONGEST_WAIT_MS = 30_000;
const FIRST_WAIT_MS = 1_000;
/** Damaged bytes are repaired by people: looking every ten minutes is often enough. */
const LONGEST_REREAD_MS = 600_000;

/** A version of the model that is in the registry. */
interface Taken {
  readonly digest: string;
  /** Ends its loading when another version takes its place. */
  readonly replaced: AbortController;
  /** Its loading, which goes on in the background; never rejects. */
  loading: Promise<void>;
}

/** Keeps one model of the registry at what the store says is current. */
export class ModelFollower {
  readonly name: string;
  readonly #options: FollowerOptions;
  readonly #stop: AbortSignal;
  #taken: Taken | undefined;
  #looking: Promise<void> | undefined;
  /** ETag of `latest.json` when it was last read: another one is a reason to try again at once. */
  #etag: string | undefined;
  #failures = 0;
  #notBefore = 0;
  #noted = '';
  #rest: Promise<void> = Promise.resolve();
  readonly #awake = new Set<() => void>();

  constructor(name: string, options: FollowerOptions, stop: AbortSignal) {
    this.name = name;
    this.#options = options;
    this.#stop = stop;
  }

  /** When everything that was being loaded is here, or cannot be loaded for now. */
  async settled(): Promise<void> {
    await this.#rest;
  }

  /** Loads the current version until it is enough; the rest streams in behind. */
  async start(): Promise<void> {
    try {
      await this.#first('at once');
    } catch (error) {
      this.#postpone(error);
      throw error;
    }
  }

  /**
   * Asks the store what is current, and takes that. One look at a time: a version that is published while another is being
   * loaded is found by the look that loads, at its end, so that the newest wins.
   */
  look(): Promise<void> {
    this.#looking ??= this.#follow().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #follow(): Promise<void> {
    while (!this.#stop.aborted) {
      try {
        const { digest, etag } = await this.#latest();
        const moved = etag !== this.#etag;
        this.#etag = etag;
        if (moved) {
          this.#failures = 0;
          for (const wake of [...this.#awake]) wake();
        }
        if (digest === this.#taken?.digest) return;
        if (!moved && this.#options.clock.now() < this.#notBefore) return;
        if (this.#taken) await this.#swap(digest, this.#taken);
        else await this.#first('when it is enough');
        this.#failures = 0;
        this.#noted = '';
      } catch (error) {
        if (!this.#stop.aborted) this.#postpone(error);
        return;
      }
    }
  }

  #latest(): Promise<{ digest: string; etag: string }> {
    return readLatest(this.#options.store, this.name, { signal: this.#stop });
  }

  /** A version that cannot be loaded is not read again at every look. */
  #postpone(error: unknown): void {
    // It was named before it was published: that is no failure of it.
    if (!this.#taken && isProblem(error, 'unknown-checkpoint')) return;
    const { clock, log, registry, rereadMs } = this.#options;
    const wait = isPassing(error) ? 0 : backOff(rereadMs, this.#failures++, LONGEST_REREAD_MS);
    this.#notBefore = clock.now() + wait;
    if (!this.#taken) registry.fail(this.name, { code: codeOf(error), until: this.#notBefore });
    const stays = this.#taken ? 'the old one stays' : 'it is not served';
    const note = `${this.name}: the store's latest version cannot be loaded, ${stays}. ${sentence(error)}`;
    // An outage that lasts is one event, not one at every look.
    if (note !== this.#noted) log.note(note);
    this.#noted = note;
  }

  /**
   * Takes the model up.
   * @param offered when: `at once`, its smallest level first; or `when it is enough`, so that a gateway that is ready stays so
   * @returns when it is enough
   */
  async #first(offered: 'at once' | 'when it is enough'): Promise<void> {
    const { store, registry, enough } = this.#options;
    const replaced = new AbortController();
    const signal = AbortSignal.any([this.#stop, replaced.signal]);
    const checkpoint = await openCheckpoint(store, this.name, { signal: this.#stop });
    this.#etag = checkpoint.etag;
    // The first bytes are on their way while the engine starts.
    const levels = begun(checkpoint.levels({ signal }));
    const model = await this.#create(checkpoint);
    let shown = offered === 'at once';
    if (shown) await registry.put(model);
    const first = Promise.withResolvers<void>();
    const settled = Promise.withResolvers<void>();
    this.#rest = settled.promise;
    const all = this.#load(model, checkpoint, signal, {
      levels,
      offered: () => {
        if (!enough(model)) return;
        if (!shown) void registry.put(model);
        shown = true;
        first.resolve();
      },
      // Until then it is the start that has failed.
      goesOn: () => enough(model),
      stopped: () => settled.resolve(),
    });
    all.then(settled.resolve, settled.resolve);
    all.catch(first.reject);
    this.#taken = { digest: checkpoint.digest, replaced, loading: all.catch(() => {}) };
    try {
      await first.promise;
    } catch (error) {
      this.#taken = undefined;
      await registry.remove(model);
      throw error;
    }
  }

  /** A newer version takes the place of the old one when all of it is here: nobody gets less because of a swap. */
  async #swap(digest: string, old: Taken): Promise<void> {
    const { store, registry, log } = this.#options;
    const checkpoint = await openCheckpoint(store, this.name, { digest, signal: this.#stop });
    const model = await this.#create(checkpoint);
    try {
      await this.#load(model, checkpoint, this.#stop, { stopped: (error) => Promise.reject(error) });
      // Taken back while it was being loaded: the old one has been the right one all along.
      const current = await this.#latest().catch(() => undefined);
      if (current?.digest === old.digest) {
        await model.retire();
        return;
      }
    } catch (error) {
      await model.retire();
      throw error;
    }
    old.replaced.abort(new Problem('aborted', 'A newer version took its place.'));
    await old.loading;
    this.#taken = { digest, replaced: new AbortController(), loading: Promise.resolve() };
    log.note(`${this.name}: now serving ${digest.slice(0, 12)}`);
    await registry.put(model);
  }

  async #create({ model, digest, manifest }: Checkpoint): Promise<ServedModel> {
    const { precision, profiles, engine: settings, clock } = this.#options;
    const ladder = ladderOptions(manifest, precision);
    const [profile, engine] = await Promise.all([
      profiles.read(model, digest, this.#stop),
      createModel({ ...ladder, ...settings }),
    ]);
    return new ServedModel(model, digest, manifest, engine, clock, profile);
  }

  /**
   * Takes all levels in, from the level that is next after a failure: soon where the store fails; where its bytes cannot be used,
   * after a longer wait each time, or when `latest.json` is written again.
   */
  async #load(
    model: ServedModel,
    checkpoint: Checkpoint,
    signal: AbortSignal,
    {
      levels,
      offered,
      goesOn = () => true,
      stopped,
    }: {
      readonly levels?: AsyncIterable<LevelWeights>;
      readonly offered?: () => void;
      /** Whether a failure may be waited out. */
      readonly goesOn?: () => boolean;
      /** Told about a failure that no short wait cures; may refuse to go on. */
      readonly stopped: (error: unknown) => Promise<void> | void;
    },
  ): Promise<void> {
    const { clock, log, profiles, rereadMs } = this.#options;
    let [coming, tries, before] = [levels ?? checkpoint.levels({ signal }), 0, -1];
    for (;;) {
      try {
        await model.load(coming, signal, offered);
        break;
      } catch (error) {
        if (signal.aborted || !goesOn()) throw error;
        tries = model.loaded > before ? 0 : tries + 1;
        before = model.loaded;
        let wait: number;
        if (isPassing(error)) {
          wait = Math.random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** tries);
          log.note(
            `${model.name}: loading waits at level ${before} for ${(wait / 1000).toFixed(1)} s. ${sentence(error)}`,
          );
        } else {
          await stopped(error);
          wait = backOff(rereadMs, tries, LONGEST_REREAD_MS);
          model.stopped = { code: codeOf(error), until: clock.now() + wait };
          log.note(
            `${model.name}: loading stopped at level ${before}. ${sentence(error)} It is read again in ${Math.ceil(wait / 1000)} s, and when the model is published again.`,
          );
        }
        await this.#wait(wait, signal);
        coming = checkpoint.levels({ from: model.engine.loaded + 1, signal });
      }
    }
    model.stopped = undefined;
    if (model.measured) await profiles.write(model, signal);
  }

  /** Some time, or until the pointer of the model moves. */
  async #wait(ms: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = () => reject(signal.reason);
    const cancel = this.#options.clock.after(ms, resolve);
    signal.addEventListener('abort', abort, { once: true });
    this.#awake.add(resolve);
    try {
      await promise;
    } finally {
      cancel();
      this.#awake.delete(resolve);
      signal.removeEventListener('abort', abort);
    }
  }
}

/** What may be over when it is tried again soon: an outage, credentials that are about to be renewed. */
const PASSING: ReadonlySet<string> = new Set(['store-unavailable', 'store-denied']);

const isPassing = (error: unknown): boolean => isProblem(error) && PASSING.has(error.code);
const codeOf = (error: unknown) => (isProblem(error) ? error.code : 'internal-error');
const backOff = (first: number, tries: number, most: number): number => Math.min(most, first * 2 ** tries);

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

/** What happened, for the log. */
export function sentence(error: unknown): string {
  if (isProblem(error)) return `${error.message} (${error.code})`;
  return error instanceof Error ? error.message : String(error);
}
