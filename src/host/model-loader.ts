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
  #followers: readonly ModelFollower[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LoaderOptions) {
    this.#options = options;
    this.#profiles = new ProfileStore(options.store, hardwareFingerprint(options.engine), options.log);
  }

  /**
   * Loads every model until it is enough; the rest streams in behind. A model that cannot be loaded does not stop the others:
   * it is tried again, ever more seldom.
   * @returns when every model is enough, or has failed
   * @throws Problem('unknown-checkpoint') when there is nothing to serve, or no checkpoint of a name that was asked for; what the
   *   store or the engine throws when no model at all can be loaded
   */
  async start(): Promise<void> {
    const {
      store,
      models,
      pollMs,
      enough = ({ loaded }) => loaded >= 0,
      rereadMs = REREAD_MS,
    } = this.#options;
    const names = models ?? (await listModels(store));
    if (names.length === 0)
      throw new Problem(
        'unknown-checkpoint',
        `${store.url} holds no checkpoint. Make one: concertina prune --model <folder> --images <folder> --store ${store.url}`,
      );
    const options = { ...this.#options, profiles: this.#profiles, enough, rereadMs };
    this.#followers = names.map((name) => new ModelFollower(name, options, this.#stop.signal));
    const failures: unknown[] = [];
    const note = (error: unknown) => void failures.push(error);
    await Promise.all(this.#followers.map((follower) => follower.start().catch(note)));
    const fatal = failures.find((error) => isProblem(error, 'unknown-checkpoint'));
    if (fatal !== undefined || failures.length === names.length) throw fatal ?? failures[0];
    if (pollMs > 0) {
      this.#timer = setInterval(() => {
        for (const follower of this.#followers) void follower.look();
      }, pollMs);
      this.#timer.unref();
    }
  }

  /** When everything that was being loaded is here, or cannot be loaded for now. */
  async loaded(): Promise<void> {
    await Promise.all(this.#followers.map((follower) => follower.settled()));
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
}
