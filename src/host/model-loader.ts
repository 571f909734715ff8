import { type Checkpoint, listModels, openCheckpoint, readLatest } from '../checkpoint/index.ts';
import { createOnnxModel, type OnnxModelOptions } from '../engine/index.ts';
import { isProblem, Problem } from '../problem/index.ts';
import { type Clock, type ModelRegistry, ServedModel } from '../serving/index.ts';
import type { ObjectStore } from '../storage/index.ts';
import type { GatewayLog } from './log.ts';

export interface LoaderOptions {
  readonly store: ObjectStore;
  readonly registry: ModelRegistry;
  readonly clock: Clock;
  readonly log: GatewayLog;
  readonly engine: Pick<OnnxModelOptions, 'device' | 'workers' | 'threads'>;
  /** Models to serve; all that the store has if absent. */
  readonly models?: readonly string[] | undefined;
  /** How often `latest.json` is looked at, ms; 0 never. */
  readonly pollMs: number;
}

/** Keeps the registry filled with what the store says is current. */
export class ModelLoader {
  readonly #options: LoaderOptions;
  readonly #stop = new AbortController();
  readonly #digests = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #loading: Promise<void>[] = [];

  constructor(options: LoaderOptions) {
    this.#options = options;
  }

  /**
   * Loads every model up to its first level; the rest streams in behind.
   * @returns when every model can answer at some level
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

  stop(): void {
    clearInterval(this.#timer);
    this.#stop.abort(new Problem('aborted', 'The gateway is stopping.'));
  }

  /** Offers the model as soon as its smallest level answers. */
  async #first(name: string): Promise<void> {
    const { store, registry } = this.#options;
    const checkpoint = await openCheckpoint(store, name, { signal: this.#stop.signal });
    const model = await this.#create(checkpoint);
    await registry.put(model);
    this.#digests.set(name, checkpoint.digest);
    const first = Promise.withResolvers<void>();
    const all = this.#load(model, checkpoint, () => first.resolve());
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
    const { config, ladder } = manifest;
    const engine = await createOnnxModel({ config, variants: ladder, ...this.#options.engine });
    return new ServedModel(model, digest, manifest, engine, this.#options.clock);
  }

  async #load(model: ServedModel, checkpoint: Checkpoint, onFirst: () => void = () => {}): Promise<void> {
    const { signal } = this.#stop;
    await model.load(checkpoint.levels({ signal }), signal, (level) => {
      if (level === 0) onFirst();
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

function sentence(error: unknown): string {
  if (isProblem(error)) return `${error.message} (${error.code})`;
  return error instanceof Error ? error.message : String(error);
}
