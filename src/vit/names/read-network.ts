import type { VitConfig } from '../config.ts';
import type { Tensor } from '../tensors.ts';
import type { AttentionPoolNames, NetworkNames } from './network-names.ts';
import { readBlocks } from './read-blocks.ts';
import { readEmbedding } from './read-embedding.ts';
import type { SourceTensors } from './source-tensors.ts';

/** Reads a whole network from the places where a family keeps its parts. */
export async function readNetwork(
  source: SourceTensors,
  config: VitConfig,
  names: NetworkNames,
): Promise<Map<string, Tensor>> {
  const { width: D } = config;
  const tensors = new Map<string, Tensor>();
  const copy = async (name: string, from: string, shape: readonly number[]) =>
    void tensors.set(name, { shape, data: await source.take(from, shape) });
  const norm = async (name: string, from: string) => {
    await copy(`${name}.weight`, `${from}.weight`, [D]);
    await copy(`${name}.bias`, `${from}.bias`, [D]);
  };
  await readEmbedding(source, config, names, tensors);
  if (names.preNorm) await norm('embed.norm', names.preNorm);
  await readBlocks(source, config, names, tensors);
  if (names.norm) await norm('norm', names.norm);
  if (names.pool) await readPool(source, config, names.pool, tensors);
  if (names.projection) await copy('projection.weight', names.projection, [config.embeddingWidth, D]);
  if (names.head && config.classes > 0) {
    await copy('head.weight', `${names.head}.weight`, [config.classes, D]);
    const bias = `${names.head}.bias`;
    if (source.has(bias)) await copy('head.bias', bias, [config.classes]);
    else tensors.set('head.bias', { shape: [config.classes], data: new Float32Array(config.classes) });
  }
  return tensors;
}

async function readPool(
  source: SourceTensors,
  config: VitConfig,
  names: AttentionPoolNames,
  tensors: Map<string, Tensor>,
): Promise<void> {
  const { width: D } = config;
  const C = config.attentionPool?.channels ?? 0;
  const set = (name: string, shape: readonly number[], data: Float32Array) =>
    tensors.set(`pool.${name}`, { shape, data });
  set('probe', [D], await source.take(names.probe, [D]));
  for (const [part, columns] of [
    ['weight', D],
    ['bias', 1],
  ] as const) {
    const shape = columns === 1 ? [D] : [D, D];
    const joint = names.query[part] === names.keyValue[part];
    const fused = await source.take(names.keyValue[part], [(joint ? 3 : 2) * D, columns]);
    const query = joint ? fused.slice(0, D * columns) : await source.take(names.query[part], [D, columns]);
    set(`query.${part}`, shape, query);
    set(`key.${part}`, shape, fused.slice(-2 * D * columns, -D * columns));
    set(`value.${part}`, shape, fused.slice(-D * columns));
  }
  const shapes = [
    ['proj', names.proj, [D, D], D],
    ['norm', names.norm, [D], D],
    ['mlp.fc1', names.fc1, [C, D], C],
    ['mlp.fc2', names.fc2, [D, C], D],
  ] as const;
  for (const [name, from, shape, length] of shapes) {
    set(`${name}.weight`, shape, await source.take(`${from}.weight`, shape));
    set(`${name}.bias`, [length], await source.take(`${from}.bias`, [length]));
  }
}
