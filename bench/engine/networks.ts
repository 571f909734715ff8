import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readModel, type TensorMap, type VitConfig } from '../../src/vit/index.ts';
import { folderFiles } from '../../src/vit/node.ts';
import { randomWeights, type Size, vitConfig } from '../common/networks.ts';

/** Real weights of ViT-Ti/16, where they are. */
const AUGREG = join(
  import.meta.dirname,
  '../../../shared/data/models/vit_tiny_patch16_224.augreg_in21k_ft_in1k',
);

export interface Network {
  /** For the tables: which weights. */
  readonly name: string;
  readonly config: VitConfig;
  readonly tensors: TensorMap;
}

/** A network by size: ViT-Ti with AugReg's weights where they are, the others with random ones. */
export async function openNetwork(size: Size): Promise<Network> {
  if (size === 'Ti' && existsSync(AUGREG)) {
    const { config, tensors } = await readModel(folderFiles(AUGREG));
    return { name: 'ViT-Ti/16 AugReg', config, tensors };
  }
  const config = vitConfig(size);
  return { name: `${config.architecture} random`, config, tensors: randomWeights(config) };
}
