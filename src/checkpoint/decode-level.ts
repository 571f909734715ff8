import { Problem } from '../problem/index.ts';
import { decodeTensor, type Tensor } from '../vit/index.ts';
import { parseStoredName, scaleOf } from './layout.ts';
import type { LevelWeights } from './level-weights.ts';
import type { Manifest, StoredTensor } from './manifest.ts';
import { coarse, fine, type Planes } from './planes.ts';

/** Numbers that are decoded at a stretch, some milliseconds: requests must not wait for a whole level. */
const BREATH = 1 << 20;

/** Makes weights of the bytes of levels, which come in order. */
export interface LevelDecoder {
  /** @param start where the bytes begin in the weights file */
  decode(level: number, start: number, bytes: Uint8Array): Promise<LevelWeights>;
}

type High = Omit<Planes, 'low'>;

/** A decoder keeps the high planes of the levels until the low ones come, with the last. */
export function levelDecoder(manifest: Manifest): LevelDecoder {
  const last = manifest.ladder.length - 1;
  const kept = new Map<string, High[]>();
  return {
    async decode(level, start, bytes) {
      const stored = storedTensors(manifest, start, bytes);
      const weights = { shared: new Map(), increments: new Map(), corrections: new Map() };
      const breathe = breather();
      for (const [name, entry] of stored) {
        const { kind, name: canonical } = parseStoredName(name);
        if (canonical.endsWith('.scale')) continue;
        const into = {
          shared: weights.shared,
          increment: weights.increments,
          correction: weights.corrections,
        };
        into[kind].set(canonical, tensorOf(name, entry));
        await breathe(entry.bytes.length);
      }
      if (level === last) kept.clear();
      return { level, ...weights };

      function tensorOf(name: string, entry: Entry): Tensor {
        if (entry.dtype !== 'I8') return decodeTensor(name, entry, entry.bytes);
        const codes = new Int8Array(entry.bytes.buffer, entry.bytes.byteOffset, entry.bytes.length);
        const { kind, name: canonical } = parseStoredName(name);
        if (kind === 'correction' && level === last) {
          return fine({ ...together(canonical, kept.get(canonical) ?? []), low: codes });
        }
        const scale = stored.get(scaleOf(name));
        if (!scale) throw incomplete(name);
        const high = {
          shape: entry.shape,
          high: codes,
          scale: decodeTensor(scaleOf(name), scale, scale.bytes).data,
        };
        if (kind === 'increment') kept.set(canonical, [...(kept.get(canonical) ?? []), high]);
        return coarse(high);
      }
    },
  };
}

interface Entry extends StoredTensor {
  readonly bytes: Uint8Array;
}

/** The stored tensors that lie in these bytes of the file; low planes last, when all high ones are here. */
function storedTensors(manifest: Manifest, start: number, bytes: Uint8Array): Map<string, Entry> {
  const end = start + bytes.length;
  const found = Object.entries(manifest.weights.tensors).filter(
    ([, entry]) => entry.start >= start && entry.end <= end && entry.end > entry.start,
  );
  const late = ([name]: readonly [string, unknown]) => Number(parseStoredName(name).kind === 'correction');
  return new Map(
    found
      .sort((a, b) => late(a) - late(b))
      .map(([name, entry]) => [
        name,
        { ...entry, bytes: bytes.subarray(entry.start - start, entry.end - start) },
      ]),
  );
}

/** The rows of all levels behind each other. */
function together(name: string, parts: readonly High[]): High {
  if (parts.length === 0) throw incomplete(name);
  const high = new Int8Array(parts.reduce((sum, part) => sum + part.high.length, 0));
  const scale = new Float32Array(parts.reduce((sum, part) => sum + part.scale.length, 0));
  let [at, row, units] = [0, 0, 0];
  for (const part of parts) {
    high.set(part.high, at);
    scale.set(part.scale, row);
    at += part.high.length;
    row += part.scale.length;
    units += part.shape[0] ?? 0;
  }
  return { shape: [units, ...(parts[0]?.shape.slice(1) ?? [])], high, scale };
}

/** Lets others work after a while. */
function breather(): (done: number) => Promise<void> {
  let since = 0;
  return async (done) => {
    since += done;
    if (since < BREATH) return;
    since = 0;
    await new Promise((go) => setTimeout(go));
  };
}

const incomplete = (name: string) =>
  new Problem('invalid-checkpoint', `The checkpoint lacks a part of "${name}". Publish it again.`, {
    tensor: name,
  });
