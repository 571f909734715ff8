import { LatencyProfile, type ProfileEntry, StoredProfileSchema } from '../budget/index.ts';
import type { Checkpoint } from '../checkpoint/index.ts';
import { isProblem } from '../problem/index.ts';
import type { ObjectStore } from '../storage/index.ts';

/** Name of the profile beside a checkpoint: every Worker is taken for the same machine. */
export const EDGE_FINGERPRINT = 'workers';

export function profileKey(model: string, digest: string): string {
  return `${model}/${digest}/profiles/${EDGE_FINGERPRINT}.json`;
}

/** FLOPs per millisecond that are assumed where nothing has been measured, and what a run takes beside them. */
const FLOPS_PER_MS = 5e6;
const RUN_MS = 2;
/** How far the slow runs of a level lie above the usual ones, where that has not been measured. */
const TAIL = 1.3;

/**
 * How long levels take, once and for all: a Worker's clock stands still while it computes, so nothing can be learnt from
 * requests.
 */
class SteadyProfile extends LatencyProfile {
  override observe(): void {}
}

/** The profile that was stored beside the checkpoint; what it does not know is told from the FLOPs. */
export async function edgeProfile(
  store: ObjectStore,
  { model, digest, manifest }: Checkpoint,
): Promise<LatencyProfile> {
  const stored = await readStored(store, profileKey(model, digest));
  const known = new Set(stored.map(({ level, precision }) => `${level} ${precision}`));
  const told = manifest.ladder.flatMap((level, index): ProfileEntry[] => {
    if (known.has(`${index} fp32`)) return [];
    const median = level.flops / FLOPS_PER_MS + RUN_MS;
    return [{ level: index, precision: 'fp32', batch: 1, median, p95: TAIL * median }];
  });
  return new SteadyProfile([...stored, ...told]);
}

async function readStored(store: ObjectStore, key: string): Promise<readonly ProfileEntry[]> {
  try {
    const { body } = await store.get(key);
    const parsed = StoredProfileSchema.safeParse(JSON.parse(new TextDecoder().decode(body)));
    return parsed.success && parsed.data.fingerprint === EDGE_FINGERPRINT ? parsed.data.entries : [];
  } catch (error) {
    // A profile that is absent or damaged is replaced by what the FLOPs tell.
    if (error instanceof SyntaxError || isProblem(error, 'object-not-found')) return [];
    throw error;
  }
}
