import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpoint } from '../../src/checkpoint/index.ts';
import { createModel, ladderOptions } from '../../src/engine/index.ts';
import { prune } from '../../src/pruning/index.ts';
import { ServedModel, systemClock } from '../../src/serving/index.ts';
import { memoryStore, type ObjectStore } from '../../src/storage/index.ts';

const SHARED = join(import.meta.dirname, '../../../shared/data');
const AUGREG = join(SHARED, 'models/vit_tiny_patch16_224.augreg_in21k_ft_in1k');
const ASSETS = join(import.meta.dirname, '../../assets');

export interface ServedNetwork {
  readonly model: ServedModel;
  /** For the reports: which network, pruned how. */
  readonly what: string;
}

/** Prunes AugReg's ViT-Ti/16 where its weights are, the sample model elsewhere, and publishes it as "bench". @returns its name */
export async function pruneNetwork(store: ObjectStore, recipe: 'quick' | 'best'): Promise<string> {
  const real = existsSync(AUGREG);
  const work = await mkdtemp(join(tmpdir(), 'concertina-bench-'));
  try {
    await prune({
      model: real ? AUGREG : join(ASSETS, 'sample-model'),
      images: real ? join(SHARED, 'images/calibration') : join(ASSETS, 'sample-images'),
      store,
      name: 'bench',
      work,
      recipe,
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return real ? 'ViT-Ti/16 AugReg' : 'The sample model';
}

/** A pruned network, loaded as a gateway loads it. */
export async function servedNetwork(recipe: 'quick' | 'best'): Promise<ServedNetwork> {
  const store = memoryStore();
  const name = await pruneNetwork(store, recipe);
  const { digest, manifest, levels } = await openCheckpoint(store, 'bench');
  const engine = await createModel(ladderOptions(manifest));
  const model = new ServedModel('bench', digest, manifest, engine, systemClock);
  await model.load(levels());
  return {
    model,
    what: `${name} under \`${recipe}\`, in ${manifest.ladder[0]?.fidelity.int8 ? 'fp32 and int8' : 'fp32'}`,
  };
}
