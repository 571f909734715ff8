import type { AnalysisVariant } from '../src/engine/index.ts';
import { crossBudgetRecall, knnTop1, type LabelledImage, type Vectors } from '../src/evaluation/index.ts';
import type { ImageSet, PruningContext } from '../src/pruning/contracts.ts';
import { embedImages, rowCosines } from '../src/pruning/fidelity.ts';
import { flops, fullVariant } from '../src/vit/index.ts';

/** Pictures that nothing was fitted on. */
export interface TestImages {
  readonly gallery: LabelledSet;
  readonly queries: LabelledSet;
  /** Of the calibration photographs' kind. */
  readonly held: ImageSet;
}

export interface LabelledSet {
  readonly images: ImageSet;
  readonly labels: readonly number[];
}

export interface Measured {
  readonly share: number;
  /** FLOPs over the full network's. */
  readonly flops: number;
  /** Mean cosine to the full network: on the queries (another domain) and on the held-back slice. */
  readonly queries: number;
  readonly held: number;
  readonly knn?: number | undefined;
  readonly recall10?: number | undefined;
}

/** Embeds the test pictures with the full network once, and then with any level. */
export async function createMeasure(context: PruningContext, test: TestImages) {
  const { model, config } = context;
  const embed = async (images: ImageSet, network?: AnalysisVariant): Promise<Vectors> => ({
    width: config.embeddingWidth,
    count: images.count,
    data: await embedImages(model, images, images.count, { network }),
  });
  const full = {
    gallery: await embed(test.gallery.images),
    queries: await embed(test.queries.images),
    held: await embed(test.held),
  };
  const knnOf = (gallery: Vectors, queries: Vectors) =>
    knnTop1(gallery, test.gallery.labels, queries, test.queries.labels);

  return {
    full: { knn: knnOf(full.gallery, full.queries) },
    async level(share: number, network: AnalysisVariant, retrieval: boolean): Promise<Measured> {
      const queries = await embed(test.queries.images, network);
      const held = await embed(test.held, network);
      const gallery = retrieval ? await embed(test.gallery.images, network) : undefined;
      const [recall10] = crossBudgetRecall(full.gallery, full.queries, queries, [10]);
      return {
        share,
        flops: flops(config, network.variant) / flops(config, fullVariant(config)),
        queries: meanCosine(queries, full.queries),
        held: meanCosine(held, full.held),
        ...(gallery && { knn: knnOf(gallery, queries), recall10 }),
      };
    },
  };
}

export function labelled(images: ImageSet, list: readonly LabelledImage[]): LabelledSet {
  return { images, labels: list.map(({ label }) => label) };
}

function meanCosine(level: Vectors, full: Vectors): number {
  const cosines = rowCosines(level.data, full.data, level.width);
  return cosines.reduce((sum, cosine) => sum + cosine, 0) / cosines.length;
}
