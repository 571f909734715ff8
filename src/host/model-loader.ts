import { listModels } from '../checkpoint/index.ts';
import { isProblem, Problem } from '../problem/index.ts';
import type { ServedModel } from '../serving/index.ts';
import { type FollowerOptions, ModelFollower } from './model-follower.ts';
import { hardwareFingerprint, ProfileStore } from './profile-store.ts';

export interface LoaderOptions extends Omit<FollowerOptions, 'profiles' | 'enough' | 'rereadMs'> {
  /** Models to serve; all that the store has if absent. */
  readonly models?: readonly string[] | undefined;
  /** How often `latest.json` is looked at, ms; 0 never. */
  readonly pollMs: number;
  /** Whether what is loaded of a model is enough for the gateway to be ready. @default its smallest level is */
  readonly enough?: (model: ServedModel) => boolean;
  /** First wait before bytes that cannot be used are read again, ms. @default 30_000 */
  readonly rereadMs?: number | undefined;
}

const REREAD_MS = 30_000;
/** A profile that has learnt from so many requests is stored when the gateway stops; storing may take so long, ms. */
const WORTH_KEEPING = 200;
const KEEP_MS = 1000;

/** Keeps the registry filled with what the store says is current. */
export class ModelLoader {
  readonly #options: LoaderOptions;
  readonly #stop = new AbortController();
  readonly #profiles: ProfileStore;
  readonly #followers = new Map<string, ModelFollower>();
  /** Observations of a profile, by its model's digest, when it was last stored. */
  readonly #kept = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #looked = 0;
  #looking: Promise<void> | undefined;

  constructor(options: LoaderOptions) {
    this.#options = options;
    this.#profiles = new ProfileStore(options.store, hardwareFingerprint(options.engine), options.log);
  }

  /**
   * Loads every model until it is enough; the rest streams in behind. A model that cannot be loaded does not stop the others:
   * it is tried again, ever more seldom. Models that are not there yet (a new deployment's store is empty) are no failure either:
   * requests get 503 `not-ready`, and `look` finds them.
   * @returns when every model that is there is enough, or has failed
   * @throws what the store or the engine throws when no model of those that are there can be loaded
   */
  async start(): Promise<void> {
    const { store, models, pollMs, registry, log } = this.#options;
    registry.expected = models ?? [];
    this.#looked = Date.now();
    const followers = (models ?? (await this.#listed())).map((name) => this.#follow(name));
    const failures: unknown[] = [];
    const missing: string[] = [];
    await Promise.all(
      followers.map(async (follower) => {
        try {
          await follower.start();
        } catch (error) {
          if (isProblem(error, 'unknown-checkpoint')) missing.push(follower.name);
          else failures.push(error);
        }
      }),
    );
    if (failures.length > 0 && failures.length === followers.length - missing.length) throw failures[0];
    if (followers.length === missing.length)
      log.note(
        `${store.url} holds no ${missing.length === 0 ? 'checkpoint' : missing.join(', ')} yet: requests get 503 not-ready until it does. Make one: concertina prune --model <folder> --images <folder> --store ${store.url}`,
      );
    else if (missing.length > 0) log.note(`${store.url} holds no ${missing.join(', ')} yet.`);
    if (pollMs > 0) {
      this.#timer = setInterval(() => void this.look(), pollMs);
      this.#timer.unref();
    }
  }

  /**
   * Asks the store for newer versions and for models that were not there, and takes them in; failures are noted, and what is
   * served stays.
   * @param notWithin do nothing if that was asked for less than so many ms ago
   */
  async look(notWithin = 0): Promise<void> {
    // Wall time: other clocks may stand still while a platform freezes the process.
    if (!this.#looking && Date.now() - this.#looked < notWithin) return;
    this.#looking ??= this.#renew().finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
  }

  async #renew(): Promise<void> {
    this.#looked = Date.now();
    const { models, store, log } = this.#options;
    if (models === undefined) {
      try {
        for (const name of await this.#listed()) this.#follow(name);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        const reason = error instanceof Error ? error.message : String(error);
        log.note(`${store.url} cannot be asked for new models. ${reason}`);
      }
    }
    await Promise.all([...this.#followers.values()].map((follower) => follower.look()));
  }

  #listed(): Promise<string[]> {
    return listModels(this.#options.store, { signal: this.#stop.signal });
  }

  #follow(name: string): ModelFollower {
    const { enough = ({ loaded }) => loaded >= 0, rereadMs = REREAD_MS } = this.#options;
    const options = { ...this.#options, profiles: this.#profiles, enough, rereadMs };
    const follower = this.#followers.get(name) ?? new ModelFollower(name, options, this.#stop.signal);
    this.#followers.set(name, follower);
    return follower;
  }

  /** When everything that was being loaded is here, or cannot be loaded for now. */
  async loaded(): Promise<void> {
    await Promise.all([...this.#followers.values()].map((follower) => follower.settled()));
  }

  /** Stores what requests have taught about latencies for the next start, where it is worth it and has not been stored. */
  async keep(): Promise<void> {
    const learnt = this.#options.registry.all().filter(({ digest, profile }) => {
      return profile.observations - (this.#kept.get(digest) ?? 0) >= WORTH_KEEPING;
    });
    for (const { digest, profile } of learnt) this.#kept.set(digest, profile.observations);
    const signal = AbortSignal.timeout(KEEP_MS);
    const over = new Promise<void>((done) => signal.addEventListener('abort', () => done(), { once: true }));
    await Promise.race([Promise.all(learnt.map((model) => this.#profiles.write(model, signal))), over]);
  }

  /** Ends loading, and stores what requests have taught. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stop.abort(new Problem('aborted', 'The gateway is stopping.'));
    await this.keep();
  }
}
