import { Problem } from '../problem/index.ts';
import { decodeTensor, elementOf } from '../vit/index.ts';
import { breather } from './breather.ts';
import { columnsOf, isScale, parseStoredName, scaleOf } from './layout.ts';
import type { LevelWeights, WeightTensor } from './level-weights.ts';
import type { Manifest, StoredTensor } from './manifest.ts';
import { coarse, fine, type HighPlane, type Planes } from './planes.ts';

/** Makes weights of the bytes of levels, which come in order. @throws Problem('non-finite-weights') naming the tensor */
export interface LevelDecoder {
  /** @param start where the bytes begin in the weights file */
  decode(level: number, start: number, bytes: Uint8Array): Promise<LevelWeights>;
}

type High = Omit<Planes, 'low'>;

/** A decoder keeps the high planes of the levels until the low ones come, with the last. */
export function levelDecoder(manifest: Manifest): LevelDecoder {
  const last = manifest.ladder.length - 1;
  const kept = new Map<string, High[]>();
  /** Column scales that all levels share, by their stored names; they come with level 0. */
  const columns = new Map<string, Float32Array>();
  return {
    async decode(level, start, bytes) {
      const stored = storedTensors(manifest, start, bytes);
      const weights = { shared: new Map(), increments: new Map(), corrections: new Map() };
      const breathe = breather();
      for (const [name, entry] of stored) {
        const { kind, name: canonical } = parseStoredName(name);
        if (kind === 'shared' && isScale(name))
          columns.set(canonical, decodeTensor(name, entry, entry.bytes, { finite: true }).data);
        if (isScale(name)) continue;
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

      function scales(name: string): Float32Array | undefined {
        const entry = stored.get(name);
        return entry && decodeTensor(name, entry, entry.bytes, { finite: true }).data;
      }

      function tensorOf(name: string, entry: Entry): WeightTensor {
        if (entry.dtype !== 'I8') return decodeTensor(name, entry, entry.bytes, { finite: true });
        const codes = new Int8Array(entry.bytes.buffer, entry.bytes.byteOffset, entry.bytes.length);
        const { kind, name: canonical } = parseStoredName(name);
        if (kind === 'correction' && level === last) {
          return new FineTensor({ ...together(canonical, kept.get(canonical) ?? []), low: codes });
        }
        const scale = scales(scaleOf(name));
        if (!scale) throw incomplete(name);
        const factors = kind === 'increment' ? columns.get(columnsOf(name)) : scales(columnsOf(name));
        const high = { shape: entry.shape, high: codes, scale, columns: factors };
        if (kind === 'increment') kept.set(canonical, [...(kept.get(canonical) ?? []), high]);
        return new CoarseTensor(high);
      }
    },
  };
}

/** Numbers that are made of their planes when somebody reads them: who multiplies the codes does not need them. */
class CoarseTensor implements WeightTensor {
  readonly shape: readonly number[];
  readonly plane: HighPlane;
  #data: Float32Array | undefined;

  constructor(high: High) {
    this.shape = high.shape;
    this.plane = high;
  }

  get data(): Float32Array {
    this.#data ??= coarse({ shape: this.shape, ...this.plane }).data;
    return this.#data;
  }
}

class FineTensor implements WeightTensor {
  readonly shape: readonly number[];
  readonly #planes: Planes;
  #data: Float32Array | undefined;

  constructor(planes: Planes) {
    this.shape = planes.shape;
    this.#planes = planes;
  }

  get data(): Float32Array {
    this.#data ??= fine(this.#planes).data;
    return this.#data;
  }
}

interface Entry extends StoredTensor {
  readonly bytes: Uint8Array;
}

/** The stored tensors that lie in these bytes of the file: scales first, and low planes last, when all high ones are here. */
function storedTensors(manifest: Manifest, start: number, bytes: Uint8Array): Map<string, Entry> {
  const end = start + bytes.length;
  const found = Object.entries(manifest.weights.tensors).filter(
    ([, entry]) => entry.start >= start && entry.end <= end && entry.end > entry.start,
  );
  const late = ([name]: readonly [string, unknown]) => {
    if (isScale(name)) return 0;
    return parseStoredName(name).kind === 'correction' ? 2 : 1;
  };
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
    units += elementOf(part.shape, 0);
  }
  const first = elementOf(parts, 0);
  return { shape: [units, ...first.shape.slice(1)], high, scale, columns: first.columns };
}

const incomplete = (name: string) =>
  new Problem('invalid-checkpoint', `The checkpoint lacks a part of "${name}". Publish it again.`, {
    tensor: name,
  });
