import { createHash } from 'node:crypto';
import { isProblem, Problem } from '../../problem/index.ts';
import type { ObjectStore } from '../../storage/index.ts';
import type { StepStore } from '../contracts.ts';

const DIGEST_BYTES = 32;
/** A result may be written again by a machine that was thought dead; so often it is tried where the store does not answer. */
const TRIES = 5;
const WAIT_MS = 500;

/**
 * Steps as objects of a store, a folder or a bucket: the sha256 of the result, then the result. An object that does not match
 * its digest counts as missing, and its step is done again. Jobs that have steps in common share a folder. Each keeps a list of those that
 * it has saved, over all its runs; `clear` removes them and those that were asked for here.
 * @param folder what their keys begin with
 * @param job name of this job's list
 */
export function storedSteps(
  store: ObjectStore,
  folder: string,
  job: string,
): StepStore & { clear(): Promise<void> } {
  const used = new Set<string>();
  const list = `${folder}/${job}.list`;
  const keyOf = (step: string) => {
    const key = `${folder}/${step.replaceAll(/[^a-z0-9.-]+/gi, '_')}.step`;
    used.add(key);
    return key;
  };
  const read = async (key: string) => {
    try {
      return (await patiently(() => store.get(key))).body;
    } catch (error) {
      if (isProblem(error, 'object-not-found')) return undefined;
      throw error;
    }
  };
  const earlier = async () => {
    const lines = new TextDecoder().decode((await read(list)) ?? new Uint8Array()).split('\n');
    for (const key of lines.filter((line) => line.startsWith(`${folder}/`))) used.add(key);
  };
  let known: Promise<void> | undefined;
  return {
    async load(step) {
      const body = await read(keyOf(step));
      if (!body || body.length < DIGEST_BYTES) return undefined;
      const result = body.subarray(DIGEST_BYTES);
      return sha256Of(result).equals(body.subarray(0, DIGEST_BYTES)) ? result : undefined;
    },
    async save(step, result) {
      known ??= earlier();
      await known;
      const key = keyOf(step);
      // First the list: what is killed between the two leaves nothing that no list names.
      await patiently(() => store.put(list, Buffer.from([...used].join('\n'))));
      await patiently(() => store.put(key, Buffer.concat([sha256Of(result), result])));
    },
    async clear() {
      known ??= earlier();
      await known;
      for (const key of [...used, list]) await patiently(() => store.delete(key));
    },
  };
}

/** Hours of work are not lost because a store did not answer for a moment. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (tries === TRIES || !isProblem(error, 'store-unavailable')) throw error;
      await new Promise((done) => setTimeout(done, WAIT_MS * 2 ** tries));
    }
  }
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
 * Whether steps can be kept in a store, before there are any.
 * @throws Problem('invalid-settings') naming the place: a disk that is full or read-only, a bucket that may not be written to
 */
export async function checkWritable(store: ObjectStore): Promise<void> {
  const key = `probe.${process.pid}`;
  try {
    await store.put(key, new Uint8Array(4096));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.replace(/, .*$/, '') : String(cause);
    throw new Problem(
      'invalid-settings',
      `Steps cannot be kept in ${store.url}: ${reason}. Name another place with --work.`,
      { work: store.url },
      { cause },
    );
  } finally {
    await store.delete(key).catch(() => {});
  }
}
