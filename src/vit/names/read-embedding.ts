import { Problem } from '../../problem/index.ts';
import { patchTokens, type VitConfig } from '../config.ts';
import { resampleGrid } from '../resample-grid.ts';
import type { Tensor } from '../tensors.ts';
import type { NetworkNames, PositionNames } from './network-names.ts';
import type { SourceTensors } from './source-tensors.ts';

/** Reads patch projection, prefix tokens and positions into canonical tensors. */
export async function readEmbedding(
  source: SourceTensors,
  config: VitConfig,
  names: NetworkNames,
  tensors: Map<string, Tensor>,
): Promise<void> {
  const { width: D, patchSize: p } = config;
  const bias = `${names.patch}.bias`;
  tensors.set('embed.patch.weight', {
    shape: [D, 3, p, p],
    data: await source.take(`${names.patch}.weight`, [D, 3, p, p]),
  });
  tensors.set('embed.patch.bias', {
    shape: [D],
    data: source.has(bias) ? await source.take(bias, [D]) : new Float32Array(D),
  });
  const prefix: number[] = [];
  if (names.cls) prefix.push(...(await source.take(names.cls, [D])));
  if (names.distillation) prefix.push(...(await source.take(names.distillation, [D])));
  if (names.registers) prefix.push(...(await source.take(names.registers, [config.prefix.registers, D])));
  const prefixData = Float32Array.from(prefix);
  const patches = patchTokens(config);
  let position = new Float32Array(patches * D);
  if (names.positions) {
    const table = await readPositions(source, config, names.positions, prefix.length / D);
    table.prefix.forEach((value, i) => {
      prefixData[i] = (prefixData[i] ?? 0) + value;
    });
    position = table.patches;
  }
  tensors.set('embed.position', { shape: [patches, D], data: position });
  if (prefix.length > 0) tensors.set('embed.prefix', { shape: [prefix.length / D, D], data: prefixData });
}

/**
 * The table's rows for prefix tokens and for patches. It has one row for every patch of a square grid and possibly
 * rows for the prefix before them: for all of it, or without the registers. A grid of another size is resampled.
 */
async function readPositions(
  source: SourceTensors,
  config: VitConfig,
  { table, antialias }: PositionNames,
  prefixRows: number,
): Promise<{ prefix: Float32Array; patches: Float32Array<ArrayBuffer> }> {
  const { width: D } = config;
  const rows = source.shape(table).at(-2) ?? 0;
  const to = Math.sqrt(patchTokens(config));
  const placements = [0, prefixRows - config.prefix.registers, prefixRows];
  const squares = placements.filter((offset) => Number.isInteger(Math.sqrt(rows - offset)) && rows > offset);
  const offset = squares.find((candidate) => rows - candidate === to * to) ?? squares[0];
  if (offset === undefined) {
    throw new Problem(
      'tensor-mismatch',
      `Tensor "${table}" has ${rows} rows, which is no square grid of patches, with or without ${prefixRows} prefix tokens. Only square inputs can be read.`,
      { tensor: table, rows },
    );
  }
  const data = await source.take(table, [rows, D]);
  const from = Math.sqrt(rows - offset);
  const grid = data.slice(offset * D);
  return {
    prefix: data.slice(0, offset * D),
    patches: from === to ? grid : Float32Array.from(resampleGrid(grid, { from, to, width: D, antialias })),
  };
}
