import { Problem } from '../problem/index.ts';
import type { Tensor, TensorMap, VitConfig } from '../vit/index.ts';
import { expectedTensors, type UnitKind, unitKinds, unitTensors } from '../vit/index.ts';
import type { CheckpointContent } from './content.ts';
import { columnScales, type Planes, splitPlanes } from './planes.ts';

/** Largest magnitude that binary16 can hold. */
const HALF_MAX = 65504;

/** One stored tensor: where it comes from, and the level whose bytes it belongs to. */
export interface PlacedTensor {
  readonly name: string;
  readonly level: number;
  readonly dtype: 'F16' | 'F32' | 'I8';
  readonly tensor: { readonly shape: readonly number[]; readonly data: Float32Array | Int8Array };
}

/** Name of the rows of a unit tensor that level `k` adds. */
export const incrementName = (name: string, level: number): string => `${name}@${level}`;
/** Name of a tensor that replaces the canonical one at level `k` only. */
export const correctionName = (name: string, level: number): string => `levels.${level}.${name}`;

/** Name of the row scales of a stored plane. */
export const scaleOf = (stored: string): string => {
  const { kind, name, level } = parseStoredName(stored);
  return kind === 'increment' ? incrementName(`${name}.scale`, level) : `${stored}.scale`;
};

/** Name of the column scales of a matrix that all levels share, or of the stored correction of one level. */
export const columnsOf = (stored: string): string => {
  const { kind, name } = parseStoredName(stored);
  return kind === 'correction' ? `${stored}.columns` : `${name}.columns`;
};

/** Whether a stored tensor is a part of how another one is written down. */
export const isScale = (stored: string): boolean => /\.(scale|columns)$/.test(parseStoredName(stored).name);

/** A stored name taken apart. */
export function parseStoredName(stored: string): {
  readonly kind: 'shared' | 'increment' | 'correction';
  readonly name: string;
  readonly level: number;
} {
  const correction = /^levels\.(\d+)\.(.+)$/.exec(stored);
  if (correction) return { kind: 'correction', name: correction[2] ?? '', level: Number(correction[1]) };
  const increment = /^(.+)@(\d+)$/.exec(stored);
  if (increment) return { kind: 'increment', name: increment[1] ?? '', level: Number(increment[2]) };
  return { kind: 'shared', name: stored, level: 0 };
}

/**
 * Everything that the weights file holds, in the order of its bytes: level 0 with the shared tensors and its units,
 * then what each further level adds. The classification head comes last: serving never reads it.
 */
export function placeTensors(content: CheckpointContent): PlacedTensor[] {
  const placed: PlacedTensor[] = [];
  const { config, levels } = content;
  const head: string[] = [];
  const perUnit = unitNames(config);
  const last = levels.length - 1;
  const split = isSplit(content);
  const put = (name: string, level: number, tensor: Tensor) =>
    placed.push({ name, level, tensor, dtype: storedType(name, tensor, content.dtype ?? 'F16') });
  const putScale = (name: string, level: number, data: Float32Array) =>
    placed.push({ name, level, dtype: 'F32', tensor: { shape: [data.length], data } });
  const putHigh = (name: string, level: number, { shape, high, scale }: Planes) => {
    placed.push({ name, level, dtype: 'I8', tensor: { shape, data: high } });
    putScale(scaleOf(name), level, scale);
  };
  const columns = new Map<string, Float32Array>();
  for (const name of expectedTensors(config).keys()) {
    if (name.startsWith('head.')) head.push(name);
    else if (!perUnit.has(name)) put(name, 0, required(content.tensors, name));
  }
  if (content.components) {
    const { mean, matrix, count } = content.components;
    put('pca.mean', 0, { shape: [mean.length], data: mean });
    put('pca.components', 0, { shape: [count, mean.length], data: matrix });
  }
  for (const name of split ? perUnit.keys() : []) {
    const tensor = required(content.tensors, name);
    const scales = hasPlanes(name, tensor) ? columnScales(name, tensor) : undefined;
    if (!scales) continue;
    columns.set(name, scales);
    putScale(columnsOf(name), 0, scales);
  }
  levels.forEach((level, index) => {
    for (const [name, { block, kind }] of perUnit) {
      const order = content.units[kind]?.[block] ?? [];
      const from = index === 0 ? 0 : (levels[index - 1]?.[kind]?.[block] ?? 0);
      const to = level[kind]?.[block] ?? 0;
      if (to < from) {
        throw new Problem(
          'invalid-checkpoint',
          `Level ${index} keeps ${to} ${kind} in block ${block}, fewer than level ${index - 1} with ${from}: levels must be nested.`,
        );
      }
      if (to === from) continue;
      const rows = gatherRows(required(content.tensors, name), order.slice(from, to));
      if (split && hasPlanes(name, rows))
        putHigh(incrementName(name, index), index, splitPlanes(rows, columns.get(name)));
      else put(incrementName(name, index), index, rows);
    }
    for (const [name, tensor] of level.corrections ?? []) {
      const stored = correctionName(name, index);
      if (!split || !hasPlanes(name, tensor)) {
        put(stored, index, tensor);
        continue;
      }
      const own = columnScales(name, tensor);
      putHigh(stored, index, splitPlanes(tensor, own));
      if (own) putScale(columnsOf(stored), index, own);
    }
  });
  if (split) {
    for (const [name, { block, kind }] of perUnit) {
      const tensor = required(content.tensors, name);
      if (!hasPlanes(name, tensor)) continue;
      const rows = gatherRows(tensor, content.units[kind]?.[block] ?? []);
      const { shape, low } = splitPlanes(rows, columns.get(name));
      placed.push({
        name: correctionName(name, last),
        level: last,
        dtype: 'I8',
        tensor: { shape, data: low },
      });
    }
  }
  for (const name of head) put(name, levels.length - 1, required(content.tensors, name));
  return placed;
}

/** Whether planes are worth their while: with one level all of the bytes are needed at once. */
export const isSplit = ({ dtype, levels }: Pick<CheckpointContent, 'dtype' | 'levels'>): boolean =>
  dtype === 'split' && levels.length > 1;

/** Which tensors of units are stored in planes: matrices. Biases are small. */
export const hasPlanes = (name: string, { shape }: Pick<Tensor, 'shape'>): boolean =>
  shape.length >= 2 && name.endsWith('.weight');

/** Canonical names of the tensors that are cut into units, with their block. */
export function unitNames(config: VitConfig): Map<string, { block: number; kind: UnitKind }> {
  const names = new Map<string, { block: number; kind: UnitKind }>();
  for (let block = 0; block < config.depth; block++) {
    for (const kind of unitKinds(config)) {
      for (const name of unitTensors(config, kind)) names.set(`blocks.${block}.${name}`, { block, kind });
    }
  }
  return names;
}

/** Rows of a tensor (along its first axis) in the given order. */
export function gatherRows(tensor: Tensor, rows: readonly number[]): Tensor {
  const [count = 1, ...rest] = tensor.shape;
  const size = tensor.data.length / count;
  const data = new Float32Array(rows.length * size);
  rows.forEach((row, i) => {
    data.set(tensor.data.subarray(row * size, (row + 1) * size), i * size);
  });
  return { shape: [rows.length, ...rest], data };
}

/** Matrices are stored in the asked precision; vectors (biases, norms, means) always in float32, they are small. */
function storedType(name: string, tensor: Tensor, wanted: 'F16' | 'F32' | 'split'): 'F16' | 'F32' {
  if (wanted === 'F32' || tensor.shape.length < 2 || /\.bias(@\d+)?$/.test(name)) return 'F32';
  return tensor.data.some((value) => Math.abs(value) > HALF_MAX) ? 'F32' : 'F16';
}

function required(tensors: TensorMap, name: string): Tensor {
  const tensor = tensors.get(name);
  if (!tensor)
    throw new Problem(
      'invalid-checkpoint',
      `Tensor "${name}" is missing; a checkpoint needs every tensor of its network.`,
    );
  return tensor;
}

/** The matrices of the units, `blocks.<b>.mlp.fc2`, in the order of the network. */
export function unitMatrices(config: VitConfig): string[] {
  return [...unitNames(config).keys()]
    .filter((name) => name.endsWith('.weight'))
    .map((name) => name.slice(0, -'.weight'.length));
}
