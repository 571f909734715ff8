import type { Manifest } from '../checkpoint/index.ts';
import type { ElasticModel } from '../engine/index.ts';
import { Problem } from '../problem/index.ts';
import { ModelRegistry, type ServedModel } from '../serving/index.ts';

/** The engine of a model whose smallest level does not fit here: it runs nothing. */
export function elsewhere({ config }: Manifest): ElasticModel {
  const refuse = async (): Promise<never> => {
    throw new Problem('level-not-loaded', 'This model does not fit into the memory of a Worker.');
  };
  return {
    config,
    variants: [],
    precisions: ['fp32'],
    concurrency: 1,
    loaded: -1,
    install: refuse,
    embed: refuse,
    dispose: async () => {},
  };
}

/** The models of a Worker: those that are served in it, and those that only the origin can serve. */
export class EdgeRegistry extends ModelRegistry {
  /** Why there are no models. */
  failure: unknown;

  override get(name: string | undefined): ServedModel {
    const all = this.all();
    if (all.length === 0 && this.failure !== undefined) throw this.failure;
    const wanted = name ?? this.defaultModel;
    return all.find((model) => model.name === wanted && isElsewhere(model)) ?? super.get(name);
  }

  override ready(): boolean {
    const all = this.all();
    return all.length > 0 && all.every((model) => isElsewhere(model) || model.loaded >= 0);
  }
}

/** Whether no level of the model is served in this Worker. */
export function isElsewhere(model: ServedModel): boolean {
  return model.engine.variants.length === 0;
}
