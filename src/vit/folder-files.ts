import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Problem } from '../problem/index.ts';
import type { ModelFiles } from './model-source.ts';
import type { ByteSource } from './safetensors.ts';

/** The files of a model in a local folder. */
export function folderFiles(folder: string): ModelFiles {
  return {
    name: folder,
    async list() {
      try {
        return (await readdir(folder)).sort();
      } catch (cause) {
        throw new Problem(
          'invalid-config',
          (await isFile(folder))
            ? `${folder} is a file. Give the folder that it lies in: config.json belongs to a model as much as its weights.`
            : `The model folder ${folder} cannot be read. Give a folder with config.json and model.safetensors.`,
          {},
          { cause },
        );
      }
    },
    open: (file) => fileSource(join(folder, file)),
  };
}

async function isFile(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

/** One read call takes at most 2 GiB less a byte. */
const READ_BYTES = 2 ** 30;

/** A file as a byte source; it is opened for each read, so that nothing is held. */
export async function fileSource(path: string): Promise<ByteSource> {
  const { size } = await stat(path);
  return {
    name: path,
    size,
    async read(start, end) {
      const bytes = new Uint8Array(end - start);
      const handle = await open(path);
      try {
        let at = 0;
        while (at < bytes.length) {
          const { bytesRead } = await handle.read(
            bytes,
            at,
            Math.min(READ_BYTES, bytes.length - at),
            start + at,
          );
          if (bytesRead === 0)
            throw new Problem('invalid-safetensors', `${path} ended while it was read; it is truncated.`);
          at += bytesRead;
        }
        return bytes;
      } finally {
        await handle.close();
      }
    },
    async sha256() {
      const hash = createHash('sha256');
      await pipeline(createReadStream(path), hash);
      return hash.digest('hex');
    },
  };
}
