import { type FileHandle, open } from 'node:fs/promises';
import { Problem } from '../problem/index.ts';

/** A file that lines are written to, each whole before the next. */
export interface LineFile {
  /** @throws Problem('invalid-settings') naming the file: a disk that is full, for instance */
  write(line: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens it, so that what cannot be written is found before there is anything to write. What the file held is replaced.
 * @throws Problem('invalid-settings') naming the file
 */
export async function lineFile(path: string): Promise<LineFile> {
  const failed = (cause: unknown) => {
    const reason = cause instanceof Error ? cause.message.replace(/, .*$/, '') : String(cause);
    return new Problem(
      'invalid-settings',
      `${path} cannot be written: ${reason}.`,
      { file: path },
      { cause },
    );
  };
  let handle: FileHandle;
  try {
    handle = await open(path, 'w');
  } catch (cause) {
    throw failed(cause);
  }
  return {
    async write(line) {
      try {
        await handle.writeFile(`${line}\n`);
      } catch (cause) {
        throw failed(cause);
      }
    },
    close: () => handle.close(),
  };
}
