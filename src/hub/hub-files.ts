import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Problem } from '../problem/index.ts';
import type { ByteSource, ModelFiles } from '../vit/index.ts';
import { fileSource } from '../vit/node.ts';
import { download } from './download.ts';
import { type Listing, listFiles } from './listing.ts';
import type { HubReference } from './reference.ts';
import type { HubSettings } from './settings.ts';

/**
 * The files of a model on the hub, downloaded when they are opened and kept in the cache. The revision is looked up
 * once: all files are of the same commit.
 */
export function hubFiles(reference: HubReference, settings: HubSettings): ModelFiles {
  const { host } = new URL(settings.endpoint);
  const folder = join(settings.cache, host.replace(':', '_'), ...reference.id.split('/'));
  const name = `hf:${reference.id}@${reference.revision}`;
  const asked = new Map<string, Promise<unknown>>();
  /** The same work is done once, and again only when it failed. */
  function once<T>(key: string, work: () => Promise<T>): Promise<T> {
    const running = asked.get(key) ?? work();
    asked.set(key, running);
    running.catch(() => asked.delete(key));
    return running as Promise<T>; // a key stands for one kind of work
  }
  const files = () => once<Listing>('', () => listFiles(reference, folder, settings));

  async function fetchFile(wanted: string): Promise<ByteSource> {
    const { commit, files: all } = await files();
    const file = all.find((one) => one.name === wanted);
    if (!file) {
      throw new Problem('unknown-model', `${name} has no file "${wanted}".`, {
        model: reference.id,
        file: wanted,
      });
    }
    const path = join(folder, commit, file.name);
    const there = await stat(path).catch(() => undefined);
    if (!there || (file.size !== undefined && there.size !== file.size)) {
      await download({ reference, commit, file, path }, settings);
    }
    return await fileSource(path);
  }

  return {
    name,
    list: async () => (await files()).files.map((file) => file.name).sort(),
    open: (file) => once(file, () => fetchFile(file)),
  };
}
