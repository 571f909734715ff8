import { Problem } from '../../problem/index.ts';
import type { VitConfig } from '../config.ts';
import type { ConfigHints } from '../config-json/index.ts';
import type { Tensor } from '../tensors.ts';
import type { Family } from './family.ts';
import { readNetwork } from './read-network.ts';
import type { SourceTensors } from './source-tensors.ts';
import { timmEva } from './timm/eva.ts';
import { timmVisionTransformer } from './timm/vision-transformer.ts';
import { transformersClip } from './transformers/clip.ts';
import { transformersDeit } from './transformers/deit.ts';
import { transformersDinov2 } from './transformers/dinov2.ts';
import { transformersDinov3 } from './transformers/dinov3.ts';
import { transformersIjepa } from './transformers/ijepa.ts';
import { transformersSiglip } from './transformers/siglip.ts';
import { transformersVit } from './transformers/vit.ts';

export { SourceTensors, type StoredTensor } from './source-tensors.ts';

/** What `torch.compile`, data-parallel training and containers of a model put before every name. */
const WRAPPERS = ['_orig_mod.', 'module.', 'model.'] as const;

/** Every family that can be read, and in which naming. */
export const FAMILIES: readonly Family[] = [
  timmVisionTransformer,
  timmEva,
  transformersVit,
  transformersDeit,
  transformersDinov2,
  transformersDinov3,
  transformersIjepa,
  transformersSiglip,
  transformersClip,
];

/**
 * Finds the family of a checkpoint and reads its tensors under canonical names.
 * @throws Problem('unsupported-model') when no family fits or a tensor of the network is left over,
 *   ('tensor-mismatch'), ('invalid-config')
 */
export async function readFamily(
  model: string,
  tensors: SourceTensors,
  hints: ConfigHints,
): Promise<{ config: VitConfig; tensors: Map<string, Tensor> }> {
  const unwrapped = tensors.unwrapped(WRAPPERS);
  for (const family of FAMILIES) {
    const source = unwrapped.below(family.prefixes, family.landmark);
    if (!source.has(family.landmark) || !family.matches(source, hints)) continue;
    const config = family.config(source, hints);
    refuseContradictions(model, config, hints);
    const read = await readNetwork(source, config, family.names(source, config, hints));
    refuseLeftOver(model, family, source);
    return { config, tensors: read };
  }
  throw new Problem(
    'unsupported-model',
    `${model}: the tensor names of "${hints.architecture}" are not known. The first are: ${tensors.names().slice(0, 6).join(', ')}. Known are ${FAMILIES.map(({ name, naming }) => `${name} (${naming})`).join(', ')}.`,
    { names: tensors.names().slice(0, 50) },
  );
}

/** @throws Problem('tensor-mismatch') where the configuration states parts that the tensors do not show, or the other way round */
function refuseContradictions(model: string, config: VitConfig, { stated }: ConfigHints): void {
  const shown = { registers: config.prefix.registers, gated: config.mlp === 'gated' };
  for (const part of ['registers', 'gated'] as const) {
    const expected = stated[part];
    if (expected === undefined || expected === shown[part]) continue;
    throw new Problem(
      'tensor-mismatch',
      part === 'registers'
        ? `${model}: by config.json there are ${expected} register tokens; the tensors show ${shown[part]}. Check that config.json belongs to these weights.`
        : `${model}: by config.json the MLP is ${expected ? 'gated' : 'plain'}; by the tensors it is not. Check that config.json belongs to these weights.`,
      { expected, found: shown[part] },
    );
  }
}

/** A tensor that nothing has read would have changed the result: the network is another one than it seems. */
function refuseLeftOver(model: string, family: Family, source: SourceTensors): void {
  const left = source.unread().filter((name) => !family.unused.test(name));
  if (left.length === 0) return;
  throw new Problem(
    'unsupported-model',
    `${model} looks like ${family.name} in ${family.naming}'s naming, but has ${left.length} tensors that such a network does not have: ${left.slice(0, 4).join(', ')}. It computes something else and cannot be run.`,
    { names: left.slice(0, 50) },
  );
}
