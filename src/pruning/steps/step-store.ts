import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Problem } from '../../problem/index.ts';
import type { StepStore } from '../contracts.ts';

const DIGEST_BYTES = 32;

/**
 * Steps as files of a folder: the sha256 of the result, then the result. A file that does not match its digest (the
 * machine went down while it was written) counts as missing, and its step is done again. `clear` removes the steps that were asked
 * for or saved here.
 */
export function folderSteps(folder: string): StepStore & { clear(): Promise<void> } {
  const used = new Set<string>();
  const fileOf = (step: string) => {
    const file = join(folder, `${step.replaceAll(/[^a-z0-9.-]+/gi, '_')}.step`);
    used.add(file);
    return file;
  };
  return {
    async load(step) {
      const bytes = await readFile(fileOf(step)).catch(() => undefined);
      if (!bytes || bytes.length < DIGEST_BYTES) return undefined;
      const result = bytes.subarray(DIGEST_BYTES);
      return sha256Of(result).equals(bytes.subarray(0, DIGEST_BYTES)) ? result : undefined;
    },
    async save(step, result) {
      await mkdir(folder, { recursive: true });
      const file = fileOf(step);
      const temporary = `${file}.${process.pid}.tmp`;
      const handle = await open(temporary, 'w');
      try {
        await handle.writeFile(Buffer.concat([sha256Of(result), result]));
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, file);
    },
    async clear() {
      for (const file of used) await rm(file, { force: true });
      // Steps of a job with other settings may lie there too.
      await rmdir(folder).catch(() => {});
    },
  };
}

/** Steps kept in memory, for tests and for runs that nobody will resume. */
export function memorySteps(): StepStore {
  const results = new Map<string, Uint8Array>();
  return {
    load: async (step) => results.get(step),
    async save(step, result) {
      results.set(step, result.slice());
    },
  };
}

function sha256Of(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** The step's result from the store, or computed now and saved. JSON keeps every finite double exactly. */
export async function jsonStep<T>(
  steps: StepStore,
  step: string,
  parse: (json: unknown) => T,
  compute: () => Promise<T>,
  toJson: (value: T) => unknown = (value) => value,
): Promise<T> {
  const saved = await steps.load(step);
  if (saved) return parse(JSON.parse(Buffer.from(saved).toString('utf8')));
  const value = await compute();
  await steps.save(step, Buffer.from(JSON.stringify(toJson(value))));
  return value;
}

/**
 * Whether steps can be kept in a folder, before there are any.
 * @throws Problem('invalid-settings') naming the folder: a disk that is full or read-only, for instance
 */
export async function checkWritable(folder: string): Promise<void> {
  const file = join(folder, `probe.${process.pid}`);
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(file, new Uint8Array(4096));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.replace(/, .*$/, '') : String(cause);
    throw new Problem(
      'invalid-settings',
      `Steps cannot be kept in ${folder}: ${reason}. Name another folder with --work.`,
      { work: folder },
      { cause },
    );
  } finally {
    await rm(file, { force: true }).catch(() => {});
  }
}
