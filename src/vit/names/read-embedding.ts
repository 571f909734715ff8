import { Problem } from '../../problem/index.ts';
import { patchTokens, type VitConfig } from '../config.ts';
import { resampleGrid } from '../resample-grid.ts';
import type { Tensor } from '../tensors.ts';
import { addNumbers } from './kernels/layout.ts';
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
    addNumbers(prefixData, table.prefix);
    position = table.patches;
  }
  tensors.set('embed.position', { shape: [patches, D], data: position });
  if (prefix.length > 0) tensors.set('embed.prefix', { shape: [prefix.length / D, D], data: prefixData });
}

/**
 * The table's rows for prefix tokens and for patches: a square grid, after the rows for those prefix tokens that have one. A grid
 * of another size is resampled as the source does it.
 */
async function readPositions(
  source: SourceTensors,
  config: VitConfig,
  { table, rows: which, antialias, fixed }: PositionNames,
  prefixRows: number,
): Promise<{ prefix: Float32Array; patches: Float32Array<ArrayBuffer> }> {
  const { width: D } = config;
  const rows = source.side(table, -2);
  const to = Math.sqrt(patchTokens(config));
  const offset =
    which === 'patches' ? 0 : which === 'all' ? prefixRows : prefixRows - config.prefix.registers;
  const from = Math.sqrt(rows - offset);
  if (rows <= offset || !Number.isInteger(from)) {
    throw new Problem(
      'tensor-mismatch',
      `Tensor "${table}" has ${rows} rows, which is no square grid of patches after ${offset} prefix tokens. Only square inputs can be read; check that config.json belongs to these weights.`,
      { tensor: table, rows },
    );
  }
  if (fixed && from !== to) {
    throw new Problem(
      'unsupported-model',
      `"${config.architecture}" has positions for ${from} x ${from} patches and an input of ${to} x ${to}: timm resamples them in a way of this network's own, which is not done here. Give ${from * config.patchSize} as img_size.`,
      { tensor: table, from, to },
    );
  }
  const data = await source.take(table, [rows, D]);
  const grid = data.slice(offset * D);
  return {
    prefix: data.slice(0, offset * D),
    patches: from === to ? grid : Float32Array.from(resampleGrid(grid, { from, to, width: D, antialias })),
  };
}
