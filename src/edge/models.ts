import {
  type Checkpoint,
  type LevelWeights,
  listModels,
  openCheckpoint,
  readLatest,
} from '../checkpoint/index.ts';
import { createWebModel, type WasmModule } from '../engine/runtime/wasm/index.ts';
import type { GatewayLog } from '../gateway/index.ts';
import { isProblem, Problem } from '../problem/index.ts';
import { type Clock, ServedModel } from '../serving/index.ts';
import type { ObjectStore } from '../storage/index.ts';
import type { EdgeContext } from './bindings.ts';
import { EdgeRegistry, elsewhere } from './elsewhere.ts';
import { bytesForModels, highestLevel } from './memory-plan.ts';
import { edgeProfile } from './profile.ts';
import type { EdgeSettings } from './settings.ts';

export interface EdgeModelsOptions {
  readonly store: ObjectStore;
  readonly settings: EdgeSettings;
  readonly wasm: WasmModule;
  readonly clock: Clock;
  readonly log: GatewayLog;
  /** Models that do not fit are offered all the same: somebody else answers for them. */
  readonly hasOrigin: boolean;
}

/**
 * The models of one isolate. A Worker may do nothing before its first request, so that one starts the loading; later ones
 * look for newer versions. There is no room for two versions at a time: the old one goes before the new one comes.
 */
export class EdgeModels {
  readonly registry = new EdgeRegistry();
  readonly #options: EdgeModelsOptions;
  readonly #digests = new Map<string, string>();
  #answering: Promise<void> | undefined;
  #looked = 0;

  constructor(options: EdgeModelsOptions) {
    this.#options = options;
  }

  /** When every model answers at some level; failures are kept in the registry, and tried again by the next request. */
  async ready(context: EdgeContext): Promise<void> {
    if (!this.#answering) {
      this.#looked = Date.now();
      this.#answering = this.#start(context);
    } else if (Date.now() - this.#looked > this.#options.settings.pollMs) {
      this.#looked = Date.now();
      context.waitUntil(this.#look());
    }
    await this.#answering;
  }

  async #start(context: EdgeContext): Promise<void> {
    const { store, settings } = this.#options;
    const { registry } = this;
    registry.failure = undefined;
    registry.defaultModel = settings.models?.[0];
    try {
      const names = settings.models ?? (await listModels(store));
      if (names.length === 0)
        throw new Problem(
          'unknown-checkpoint',
          'The bucket holds no checkpoint. Make one (concertina prune) and copy it there; see deploy/README.md.',
        );
      const bytes = bytesForModels(settings) / names.length;
      // One after the other: each is answered by one thread, and the first is there sooner.
      for (const name of names) await this.#first(name, bytes, context);
      if (registry.all().length === 0)
        throw new Problem(
          'unknown-checkpoint',
          'No model of the bucket fits into the memory of a Worker, and there is no origin. Set CONCERTINA_ORIGIN, or publish a smaller one.',
        );
    } catch (error) {
      registry.failure = error;
      this.#answering = undefined;
      this.#options.log.note(`The models cannot be loaded. ${sentence(error)}`);
    }
  }

  /** Offers a model as soon as its smallest level answers; the rest follows behind. */
  async #first(name: string, bytes: number, context: EdgeContext): Promise<void> {
    const { store, hasOrigin, log } = this.#options;
    const checkpoint = await openCheckpoint(store, name);
    this.#digests.set(name, checkpoint.digest);
    const highest = highestLevel(checkpoint.manifest, bytes);
    if (highest < 0 && !hasOrigin) {
      log.note(`${name}: not even its smallest level fits into this Worker; it is not served.`);
      return;
    }
    const model = await this.#create(checkpoint, highest);
    await this.registry.put(model);
    if (highest < 0) return;
    const answers = Promise.withResolvers<void>();
    const loading = model.load(upTo(checkpoint.levels(), highest), undefined, () => answers.resolve());
    loading.catch(answers.reject);
    context.waitUntil(loading.catch((error) => log.note(`${name}: loading stopped. ${sentence(error)}`)));
    await answers.promise;
  }

  async #create(checkpoint: Checkpoint, highest: number): Promise<ServedModel> {
    const { store, wasm, clock } = this.#options;
    const { model, digest, manifest } = checkpoint;
    const variants = manifest.ladder.slice(0, highest + 1);
    const { config } = manifest;
    const profile = await edgeProfile(store, checkpoint);
    const engine = highest < 0 ? elsewhere(manifest) : await createWebModel({ config, variants, wasm });
    return new ServedModel(model, digest, manifest, engine, clock, profile);
  }

  /** Lets everything go when the store has something newer; the next request loads it. */
  async #look(): Promise<void> {
    const { store, log } = this.#options;
    try {
      for (const [name, digest] of this.#digests) {
        const latest = await readLatest(store, name);
        if (latest.digest === digest) continue;
        log.note(`${name}: ${latest.digest.slice(0, 12)} has been published`);
        this.#digests.clear();
        this.#answering = undefined;
        await this.registry.dispose();
        return;
      }
    } catch (error) {
      log.note(`The bucket cannot be asked for newer versions. ${sentence(error)}`);
    }
  }
}

async function* upTo(levels: AsyncIterable<LevelWeights>, highest: number): AsyncIterable<LevelWeights> {
  for await (const level of levels) {
    yield level;
    if (level.level >= highest) return;
  }
}

function sentence(error: unknown): string {
  if (isProblem(error)) return `${error.message} (${error.code})`;
  return error instanceof Error ? error.message : String(error);
}
