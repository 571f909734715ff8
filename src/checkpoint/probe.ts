import type { ObjectStore, ReadOptions } from '../storage/index.ts';
import { checkModelName } from './writer.ts';

/**
 * Writes a few bytes where a checkpoint will be published, and removes them: long work must not end at a store that cannot be written.
 * @throws Problem('invalid-settings'), and what the store throws
 */
export async function probeStore(
  store: ObjectStore,
  model: string,
  options: ReadOptions = {},
): Promise<void> {
  checkModelName(model);
  const key = `${model}/probe`;
  await store.put(
    key,
    new TextEncoder().encode('Written to see whether it can be. May be removed.\n'),
    options,
  );
  // Who may write need not be allowed to remove.
  await store.delete(key, options).catch(() => {});
}
