import { listModels } from '../checkpoint/index.ts';
import { Problem } from '../problem/index.ts';
import type { ObjectStore } from '../storage/index.ts';

/** The model that was asked for, or the only one of the store. */
export async function modelName(store: ObjectStore, asked: string | undefined): Promise<string> {
  if (asked !== undefined) return asked;
  const models = await listModels(store);
  const [only] = models;
  if (models.length === 1 && only !== undefined) return only;
  if (only === undefined)
    throw new Problem(
      'unknown-checkpoint',
      `${store.url} holds no checkpoint. Make one with concertina prune.`,
    );
  throw new Problem('usage', `The store holds several models; name one with --model: ${models.join(', ')}.`);
}
