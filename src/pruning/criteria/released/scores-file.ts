import { z } from 'zod';
import { Problem } from '../../../problem/index.ts';
import type { UnitScores } from '../../contracts.ts';
import { range } from '../../data/ordered.ts';
import type { Protection } from '../../units/ranking.ts';
import { isKind, type PickleValue, readPickle } from './pickle.ts';
import { readStoredZip } from './zip.ts';

/** Importance scores as SnapViT's authors release them. */
export interface ReleasedScores {
  /** Local scores with the evolved factors already multiplied in. */
  readonly scores: UnitScores;
  readonly protection: Protection;
  readonly shape: {
    readonly depth: number;
    readonly heads: number;
    readonly headDim: number;
    readonly channels: number;
    readonly width: number;
  };
  /** `deit-vit-b-16` */
  readonly model: string;
}

const REBUILD = 'torch._utils._rebuild_tensor_v2';
const STORAGE = 'torch.FloatStorage';
const ORDERED = 'collections.OrderedDict';
const ENUMS = ['src.models.enums.ModelType', 'src.models.enums.MLPArchitecture'];
const GLOBALS: ReadonlySet<string> = new Set([REBUILD, STORAGE, ORDERED, ...ENUMS]);

const positive = z.number().int().positive().max(1_000_000);
const share = z.number().min(0).max(1);
const HeaderSchema = z.object({
  model_type: z.string(),
  num_blocks: positive,
  hidden_dim: positive,
  embed_dim: positive,
  num_heads: positive,
  head_dim: positive,
  min_hidden_dim_keep_ratio: share,
  min_head_keep_ratio: share,
});

/**
 * Reads a released `.pt` file: a zip archive with a pickle and two float32 storages. Only that structure is understood;
 * nothing in it is executed.
 * @throws Problem('invalid-scores')
 */
export function readScoresFile(bytes: Uint8Array): ReleasedScores {
  const entries = readStoredZip(bytes);
  const pickleName = [...entries.keys()].find((name) => name.endsWith('/data.pkl'));
  const pickle = pickleName === undefined ? undefined : entries.get(pickleName);
  if (pickleName === undefined || !pickle) throw invalid('it has no data.pkl');
  const folder = pickleName.slice(0, -'data.pkl'.length);
  const order = entries.get(`${folder}byteorder`);
  if (order && new TextDecoder().decode(order) !== 'little')
    throw invalid('its numbers are not little-endian');

  const root = readPickle(pickle, GLOBALS);
  if (!(root instanceof Map)) throw invalid('its pickle is no dictionary');
  const header = HeaderSchema.safeParse(
    Object.fromEntries(Object.keys(HeaderSchema.shape).map((name) => [name, plain(root.get(name))])),
  );
  if (!header.success) throw invalid(z.prettifyError(header.error));
  const { num_blocks: depth, num_heads: heads, hidden_dim: channels } = header.data;
  const storage = (key: string) => entries.get(`${folder}data/${key}`);
  return {
    scores: {
      heads: matrixRows(root.get('head_scores'), [depth, heads], 'head_scores', storage),
      channels: matrixRows(root.get('mlp_scores'), [depth, channels], 'mlp_scores', storage),
    },
    protection: {
      heads: header.data.min_head_keep_ratio,
      channels: header.data.min_hidden_dim_keep_ratio,
    },
    shape: { depth, heads, channels, headDim: header.data.head_dim, width: header.data.embed_dim },
    model: header.data.model_type,
  };
}

/** An enum member is pickled as a call with its value. */
function plain(value: PickleValue | undefined): PickleValue | undefined {
  return isKind(value, 'call') && ENUMS.includes(value.callable) ? value.items[0] : value;
}

/** The rows of a contiguous matrix: `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)`. */
function matrixRows(
  value: PickleValue | undefined,
  [rows, columns]: readonly [number, number],
  name: string,
  storage: (key: string) => Uint8Array | undefined,
): Float64Array[] {
  const [reference, offset, size, stride] =
    isKind(value, 'call') && value.callable === REBUILD ? value.items : [];
  const contiguous = numbersEqual(size, [rows, columns]) && numbersEqual(stride, [columns, 1]);
  if (!contiguous || offset !== 0) throw invalid(`${name} is no contiguous matrix of ${rows} x ${columns}`);
  const bytes = storage(storageKey(reference, rows * columns, name));
  if (bytes?.byteLength !== rows * columns * 4)
    throw invalid(`the numbers of ${name} are missing or cut short`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return range(rows).map((row) =>
    Float64Array.from({ length: columns }, (_, column) =>
      view.getFloat32((row * columns + column) * 4, true),
    ),
  );
}

/** The key in `('storage', FloatStorage, key, 'cpu', count)`. */
function storageKey(reference: PickleValue | undefined, count: number, name: string): string {
  const id = isKind(reference, 'persistent') ? reference.id : undefined;
  const [tag, type, key, , length] = isKind(id, 'tuple') ? id.items : [];
  const float = isKind(type, 'global') && type.name === STORAGE;
  if (tag !== 'storage' || !float || typeof key !== 'string' || !/^\d+$/.test(key) || length !== count) {
    throw invalid(`${name} does not refer to ${count} float32 numbers of the archive`);
  }
  return key;
}

function numbersEqual(value: PickleValue | undefined, expected: readonly number[]): boolean {
  return (
    isKind(value, 'tuple') &&
    value.items.length === expected.length &&
    value.items.every((item, at) => item === expected[at])
  );
}

function invalid(why: string): Problem {
  return new Problem('invalid-scores', `The scores file cannot be used: ${why}.`);
}
