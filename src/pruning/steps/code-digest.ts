import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const SOURCES = join(import.meta.dirname, '../..');
/** Everything that decides what a step gives: this folder and those that it may import (`.dependency-cruiser.mjs`). */
export const CODE = ['checkpoint', 'engine', 'network', 'problem', 'progress', 'pruning', 'storage', 'vit'];

/**
 * sha256 over the program as it lies on disk: names and contents of all files, whatever their order there. Steps of another program
 * are not gone on from.
 */
export async function codeDigest(folders: readonly string[] = CODE, sources = SOURCES): Promise<string> {
  const hash = createHash('sha256');
  for (const folder of folders) {
    const entries = await readdir(join(sources, folder), { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile() && /\.[jt]s$/.test(entry.name));
    for (const path of files.map((file) => join(file.parentPath, file.name)).sort()) {
      hash.update(`${path.slice(sources.length)}\0`);
      hash.update(
        createHash('sha256')
          .update(await readFile(path))
          .digest(),
      );
    }
  }
  return hash.digest('hex');
}
