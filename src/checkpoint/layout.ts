import { Problem } from '../problem/index.ts';
import type { Tensor, TensorMap, VitConfig } from '../vit/index.ts';
import {
  elementOf,
  expectedTensors,
  keptOf,
  orderOf,
  type UnitKind,
  unitKinds,
  unitTensors,
} from '../vit/index.ts';
import type { CheckpointContent } from './content.ts';
import { columnScales, type Planes, splitPlanes } from './planes.ts';
import { numbersOf, writtenAs } from './stored-numbers.ts';

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
  if (correction) return { kind: 'correction', name: elementOf(correction, 2), level: Number(correction[1]) };
  const increment = /^(.+)@(\d+)$/.exec(stored);
  if (increment) return { kind: 'increment', name: elementOf(increment, 1), level: Number(increment[2]) };
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
  const numbers = numbersOf(content);
  /** A tensor as it is, which is not one of planes. */
  const put = (name: string, level: number, tensor: Tensor, written = writtenAs(name, tensor, numbers)) =>
    placed.push({ name, level, tensor, dtype: written === 'planes' ? 'F16' : written });
  const putScale = (name: string, level: number, data: Float32Array) =>
    placed.push({ name, level, dtype: 'F32', tensor: { shape: [data.length], data } });
  const putHigh = (name: string, level: number, { shape, high, scale }: Planes) => {
    placed.push({ name, level, dtype: 'I8', tensor: { shape, data: high } });
    putScale(scaleOf(name), level, scale);
  };
  const columns = new Map<string, Float32Array>();
  // Decided for the whole tensor: all of its rows are written alike.
  const units = [...unitNames(config)].map(([name, { block, kind }]) => {
    const tensor = required(content.tensors, name);
    return { name, block, kind, tensor, written: writtenAs(name, tensor, numbers) };
  });
  for (const name of expectedTensors(config).keys()) {
    if (name.startsWith('head.')) head.push(name);
    else if (!perUnit.has(name)) put(name, 0, required(content.tensors, name));
  }
  if (content.components) {
    const { mean, matrix, count } = content.components;
    put('pca.mean', 0, { shape: [mean.length], data: mean });
    put('pca.components', 0, { shape: [count, mean.length], data: matrix });
  }
  for (const { name, tensor, written } of units) {
    const scales = written === 'planes' ? columnScales(name, tensor) : undefined;
    if (!scales) continue;
    columns.set(name, scales);
    putScale(columnsOf(name), 0, scales);
  }
  levels.forEach((level, index) => {
    for (const { name, block, kind, tensor, written } of units) {
      const from = index === 0 ? 0 : keptOf(config, elementOf(levels, index - 1), kind, block);
      const to = keptOf(config, level, kind, block);
      if (to < from) {
        throw new Problem(
          'invalid-checkpoint',
          `Level ${index} keeps ${to} ${kind} in block ${block}, fewer than level ${index - 1} with ${from}: levels must be nested.`,
        );
      }
      if (to === from) continue;
      const rows = gatherRows(tensor, orderOf(content.units, kind, block).slice(from, to));
      const stored = incrementName(name, index);
      if (written === 'planes') putHigh(stored, index, splitPlanes(rows, columns.get(name)));
      else put(stored, index, rows, written);
    }
    for (const [name, tensor] of level.corrections ?? []) {
      const stored = correctionName(name, index);
      const written = writtenAs(name, tensor, numbers);
      if (written !== 'planes') {
        put(stored, index, tensor, written);
        continue;
      }
      const own = columnScales(name, tensor);
      putHigh(stored, index, splitPlanes(tensor, own));
      if (own) putScale(columnsOf(stored), index, own);
    }
  });
  for (const { name, block, kind, tensor, written } of units) {
    if (written !== 'planes') continue;
    const rows = gatherRows(tensor, orderOf(content.units, kind, block));
    const { shape, low } = splitPlanes(rows, columns.get(name));
    placed.push({ name: correctionName(name, last), level: last, dtype: 'I8', tensor: { shape, data: low } });
  }
  for (const name of head) put(name, levels.length - 1, required(content.tensors, name));
  return placed;
}

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
  const [count, ...rest] = tensor.shape;
  if (count === undefined) throw new RangeError('A single number has no rows.');
  const size = tensor.data.length / count;
  const data = new Float32Array(rows.length * size);
  rows.forEach((row, i) => {
    data.set(tensor.data.subarray(row * size, (row + 1) * size), i * size);
  });
  return { shape: [rows.length, ...rest], data };
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
