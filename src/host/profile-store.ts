import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { arch, availableParallelism, cpus } from 'node:os';
import { type ProfileEntry, type StoredProfile, StoredProfileSchema } from '../budget/index.ts';
import type { GatewayLog } from '../gateway/index.ts';
import { isProblem } from '../problem/index.ts';
import type { ServedModel } from '../serving/index.ts';
import type { ObjectStore } from '../storage/index.ts';

/** A profile is small; whatever is larger is none. */
const MAX_BYTES = 1 << 20;

/** Settings that change how long a level takes. */
export interface EngineSettings {
  readonly device?: string | undefined;
  readonly workers?: number | undefined;
  readonly threads?: number | undefined;
  readonly packing?: string | undefined;
}

/** What a latency profile is true for: the processor, the engine's version and its settings. 16 hexadecimal digits. */
export function hardwareFingerprint({
  device = 'auto',
  workers,
  threads = 1,
  packing = 'auto',
}: EngineSettings): string {
  const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string }; // an npm package
  const cores = availableParallelism();
  const parts = [
    arch(),
    cpus()[0]?.model.trim(),
    cores,
    `onnxruntime ${version}`,
    device,
    workers ?? cores,
    threads,
    packing,
  ];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

/** Keeps latency profiles beside their checkpoint: `<model>/<digest>/profiles/<fingerprint>.json`. */
export class ProfileStore {
  readonly #store: ObjectStore;
  readonly #fingerprint: string;
  readonly #log: GatewayLog;

  constructor(store: ObjectStore, fingerprint: string, log: GatewayLog) {
    this.#store = store;
    this.#fingerprint = fingerprint;
    this.#log = log;
  }

  /** What was measured on such hardware before; nothing where there is none, or it cannot be read. */
  async read(model: string, digest: string, signal?: AbortSignal): Promise<readonly ProfileEntry[]> {
    try {
      const key = this.#key(model, digest);
      const { body } = await this.#store.get(key, signal ? { signal } : {});
      if (body.length > MAX_BYTES) return [];
      const stored = StoredProfileSchema.parse(JSON.parse(new TextDecoder().decode(body)));
      return stored.fingerprint === this.#fingerprint ? stored.entries : [];
    } catch (error) {
      // The model is measured again; a store that does not answer fails where the checkpoint is read.
      if (!isProblem(error, 'object-not-found'))
        this.#log.note(`${model}: the stored latency profile is not used. ${messageOf(error)}`);
      return [];
    }
  }

  /** Writes down how long the levels take here now. A store that cannot be written to is no reason to fail. */
  async write({ name, digest, profile }: ServedModel, signal?: AbortSignal): Promise<void> {
    const entries = profile.entries();
    if (entries.length === 0) return;
    const stored: StoredProfile = { version: 1, fingerprint: this.#fingerprint, entries };
    try {
      const body = new TextEncoder().encode(JSON.stringify(stored));
      await this.#store.put(this.#key(name, digest), body, {
        contentType: 'application/json',
        ...(signal && { signal }),
      });
    } catch (error) {
      this.#log.note(`${name}: the latency profile was not stored. ${messageOf(error)}`);
    }
  }

  #key(model: string, digest: string): string {
    return `${model}/${digest}/profiles/${this.#fingerprint}.json`;
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
