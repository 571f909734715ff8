import { Problem } from '../problem/index.ts';
import { answers } from './readiness.ts';
import type { LoadingStopped, ServedModel } from './served-model.ts';
import type { Tier } from './tiers.ts';

/** `Retry-After` for a model that cannot be loaded. */
const RETRY_SECONDS = 30;

/** The models that a gateway serves, by name. Owns them: a model that is replaced is retired when its requests are done. */
export class ModelRegistry {
  readonly #models = new Map<string, ServedModel>();
  /** Models of the store that cannot be loaded for now. */
  readonly #failures = new Map<string, LoadingStopped>();
  #default: string | undefined;
  /** Models that are to be served even if they are not here yet. */
  expected: readonly string[] = [];

  /** The model of requests that name none: the one set here, or the only one. */
  get defaultModel(): string | undefined {
    return this.#default ?? (this.#models.size === 1 ? this.names()[0] : undefined);
  }

  set defaultModel(name: string | undefined) {
    this.#default = name;
  }

  names(): string[] {
    return [...this.#models.keys()].sort();
  }

  all(): ServedModel[] {
    return [...this.#models.values()];
  }

  /** Whether the models are there, and each can answer requests of all these tiers: none gets less than its floor. */
  ready(tiers: Iterable<Tier>): boolean {
    const wanted = [...tiers];
    if (this.#models.size === 0 || this.expected.some((name) => !this.#models.has(name))) return false;
    return this.all().every((model) => wanted.every((tier) => answers(model, tier)));
  }

  /** @throws Problem('unknown-model') naming the models there are, Problem('not-ready'), Problem('loading-stopped') */
  get(name: string | undefined): ServedModel {
    const wanted = name ?? this.defaultModel;
    const model = wanted === undefined ? undefined : this.#models.get(wanted);
    if (!model) {
      if (wanted !== undefined && this.#failures.has(wanted))
        throw new Problem(
          'loading-stopped',
          `Model "${wanted}" cannot be loaded: what is stored of it is damaged, or does not run here. It is tried again, ever more seldom, and at once when it is published again.`,
          { retryAfter: RETRY_SECONDS },
        );
      if (this.#models.size === 0 || (wanted !== undefined && this.expected.includes(wanted)))
        throw new Problem(
          'not-ready',
          `${wanted === undefined ? 'No model' : `Model "${wanted}"`} has ${wanted === undefined ? '' : 'not '}been loaded yet. Try again in a moment.`,
          { retryAfter: 1 },
        );
      throw new Problem(
        'unknown-model',
        wanted === undefined
          ? `Name a model: ${this.names().join(', ')}.`
          : `There is no model "${wanted}". There are: ${this.names().join(', ')}.`,
        { models: this.names() },
      );
    }
    if (model.loaded < 0)
      throw new Problem('not-ready', `Model "${model.name}" is still being loaded. Try again in a moment.`, {
        retryAfter: 1,
      });
    return model;
  }

  /** Notes that a model of the store cannot be loaded for now. */
  fail(name: string, failure: LoadingStopped): void {
    if (!this.#models.has(name)) this.#failures.set(name, failure);
  }

  /** Models that cannot be loaded for now, by name. */
  failures(): ReadonlyMap<string, LoadingStopped> {
    return this.#failures;
  }

  /** Takes a model out, if it is still the one of its name, and frees it. */
  async remove(model: ServedModel): Promise<void> {
    if (this.#models.get(model.name) === model) this.#models.delete(model.name);
    await model.retire();
  }

  /** Puts a model in its place; the one it replaces finishes its requests and is freed. */
  async put(model: ServedModel): Promise<void> {
    const before = this.#models.get(model.name);
    this.#models.set(model.name, model);
    this.#failures.delete(model.name);
    await before?.retire();
  }

  async dispose(): Promise<void> {
    const models = this.all();
    this.#models.clear();
    await Promise.all(models.map((model) => model.retire()));
  }
}
