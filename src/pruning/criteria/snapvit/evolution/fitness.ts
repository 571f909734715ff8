import { fullVariant } from '../../../../vit/index.ts';
import type { PruningContext, Ranking } from '../../../contracts.ts';
import { embedImages, rowCosines } from '../../../fidelity/fidelity.ts';
import { atSparsity } from '../../../paths/snapvit.ts';
import type { EvolutionSettings } from '../../../recipe/schema.ts';
import { fitPca, type Pca, project } from './kernels/pca.ts';

/** Loss of a ranking, smaller is better: see {@link createFitness}. */
export type Fitness = (ranking: Ranking) => Promise<number>;

/**
 * SnapViT's fitness (Simoncini et al. 2025, section 3 and appendix B.2): the mean over the sparsity pairs of `1 - mean_i cos(P(e_pruned_i),
 * P(e_full_i))`. `P` are the principal components of the full network's embeddings of the same pictures, which are
 * centre-cropped; embeddings no wider than the components wanted are compared as they are.
 */
export async function createFitness(context: PruningContext, settings: EvolutionSettings): Promise<Fitness> {
  const { config, model, images, signal } = context;
  const width = config.embeddingWidth;
  const count = Math.min(settings.images, images.fit.count);
  const full = await embedImages(model, images.fit, count, { signal });
  const pca = width > settings.components ? fitPca(full, count, width, settings.components) : undefined;
  const reference = reduced(pca, full, count);
  const { merge } = fullVariant(config);

  return async function fitness(ranking) {
    let total = 0;
    for (const pair of settings.pairs) {
      const variant = { ...atSparsity(config, ranking, pair), merge };
      const network = { variant, units: ranking.units };
      const embeddings = await embedImages(model, images.fit, count, { network, signal });
      const cosines = rowCosines(reduced(pca, embeddings, count), reference, pca?.count ?? width);
      total += 1 - cosines.reduce((sum, cosine) => sum + cosine, 0) / count;
    }
    return total / settings.pairs.length;
  };
}

function reduced(pca: Pca | undefined, embeddings: Float32Array, count: number): ArrayLike<number> {
  return pca ? project(pca, embeddings, count) : embeddings;
}
