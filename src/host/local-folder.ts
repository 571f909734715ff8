import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, extname, join } from 'node:path';
import { Problem } from '../problem/index.ts';
import type { Reporter } from '../progress/index.ts';
import { openStore } from '../storage/node.ts';

const EXTENSIONS = new Set(['.jpg', '.jpeg', '.png', '.webp', '.avif', '.gif', '.tif', '.tiff']);

/**
 * A folder of pictures on this machine: the one that is named, or a copy of the pictures under `s3://bucket/prefix`. A copy
 * that was interrupted goes on where it stopped.
 * @throws Problem('no-images'), and what the store throws
 */
export async function localFolder(place: string, report: Reporter, signal?: AbortSignal): Promise<string> {
  if (!place.startsWith('s3://')) return place;
  const read = signal ? { signal } : {};
  const store = await openStore(place);
  const keys: string[] = [];
  for await (const { key } of store.list('', read))
    if (EXTENSIONS.has(extname(key).toLowerCase())) keys.push(key);
  if (keys.length === 0)
    throw new Problem('no-images', `There is no picture under ${place}.`, { images: place });
  const folder = join(
    tmpdir(),
    'concertina-images',
    createHash('sha256').update(place).digest('hex').slice(0, 16),
  );
  await mkdir(folder, { recursive: true });
  const step = report.step('fetch pictures', keys.length);
  let next = 0;
  let done = 0;
  const worker = async () => {
    while (next < keys.length) {
      const key = keys[next++] ?? '';
      // No two keys share a name, and a key has the same one the next time.
      const file = join(
        folder,
        `${createHash('sha256').update(key).digest('hex').slice(0, 12)}-${basename(key)}`,
      );
      if (!existsSync(file)) {
        const { body } = await store.get(key, read);
        await writeFile(`${file}.part`, body);
        await rename(`${file}.part`, file);
      }
      step.advance(++done);
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  step.end();
  return folder;
}
