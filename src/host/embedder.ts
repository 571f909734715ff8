import { type Budget, type Plan, plan } from '../budget/index.ts';
import { openCheckpoint } from '../checkpoint/index.ts';
import { createModel, ladderOptions, type ModelOptions, type PrecisionChoice } from '../engine/index.ts';
import { project } from '../gateway/index.ts';
import { ServedModel, systemClock } from '../serving/index.ts';
import type { ObjectStore } from '../storage/index.ts';
import { sharpDecoder } from '../vit/node.ts';

/** Embeds image files without a server: the command line and bulk jobs. */
export interface Embedder {
  readonly model: string;
  readonly digest: string;
  /** Images worth having in work at a time. */
  readonly concurrency: number;
  /** @throws Problem('budget-unsatisfiable') */
  plan(budget: Budget): Plan;
  /**
   * @returns `[embeddingWidth]`, of length 1 unless the embedder was told otherwise
   * @throws Problem('undecodable-image'), ('too-many-pixels'), ('aborted')
   */
  embed(image: Uint8Array, chosen: Plan, signal?: AbortSignal): Promise<Float32Array>;
  close(): Promise<void>;
}

/** Loads a model of a store whole. */
export async function openEmbedder(
  store: ObjectStore,
  model: string,
  options: Pick<ModelOptions, 'device' | 'onFallback'> & {
    readonly precision?: PrecisionChoice;
    /** Scale every embedding to length 1, as the gateway does. @default true */
    readonly normalize?: boolean;
    readonly signal?: AbortSignal;
  } = {},
): Promise<Embedder> {
  const { signal, precision, normalize = true, ...engineOptions } = options;
  const { digest, manifest, levels } = await openCheckpoint(store, model, signal ? { signal } : {});
  const { config, ladder } = manifest;
  const engine = await createModel({ ...ladderOptions(manifest, precision), ...engineOptions });
  const served = new ServedModel(model, digest, manifest, engine, systemClock);
  try {
    await served.load(levels(signal ? { signal } : {}), signal);
  } catch (error) {
    await served.retire();
    throw error;
  }
  const decoder = sharpDecoder({ accuracy: 'fast' });
  return {
    model,
    digest,
    concurrency: engine.concurrency,
    plan: (budget) =>
      plan(budget, {
        ladder,
        precisions: served.precisions,
        loaded: served.loaded,
        predict: (level, precision) => served.predict(level, precision),
      }),
    async embed(image, { level, precision }, aborted) {
      const pixels = await decoder.decode(image, config, aborted ? { signal: aborted } : {});
      const signal = aborted && { signal: aborted };
      const embedding = await engine.embed(pixels, 1, { level, precision, ...signal });
      return project(embedding, undefined, { normalize });
    },
    close: () => served.retire(),
  };
}
