import { z } from 'zod';
import type { AnalysisModel, AnalysisVariant } from '../../src/engine/index.ts';
import { crossBudgetRecall, knnTop1, type Vectors } from '../../src/evaluation/index.ts';
import type { ImageSet } from '../../src/pruning/contracts.ts';
import { embedImages, rowCosines } from '../../src/pruning/fidelity/fidelity.ts';
import { flops, fullVariant } from '../../src/vit/index.ts';
import type { LabelledSet } from './pictures.ts';

/** Pictures that nothing was fitted on. */
export interface TestImages {
  readonly gallery: Pick<LabelledSet, 'images' | 'labels'>;
  readonly queries: Pick<LabelledSet, 'images' | 'labels'>;
  /** Of the calibration photographs' kind. */
  readonly held: ImageSet;
}

export const MeasuredSchema = z.strictObject({
  share: z.number(),
  /** FLOPs over the full network's. */
  flops: z.number(),
  /** Mean cosine to the full network: on the queries (another domain) and on the held-back slice. */
  queries: z.number(),
  held: z.number(),
  knn: z.number().optional(),
  recall10: z.number().optional(),
});
export type Measured = z.infer<typeof MeasuredSchema>;

export interface Measure {
  /** k-NN top-1 of the full network. */
  knn(): Promise<number>;
  /** Measures a level of a network; `retrieval` embeds the gallery too, for k-NN. */
  level(model: AnalysisModel, share: number, network: AnalysisVariant, retrieval: boolean): Promise<Measured>;
}

/** Embeds the test pictures with the full network once, when they are first needed, and then with any level. */
export function createMeasure(model: AnalysisModel, test: TestImages): Measure {
  const { config } = model;
  const embed = async (on: AnalysisModel, images: ImageSet, network?: AnalysisVariant): Promise<Vectors> => ({
    width: config.embeddingWidth,
    count: images.count,
    data: await embedImages(on, images, images.count, { network }),
  });
  const embedFull = async () => ({
    gallery: await embed(model, test.gallery.images),
    queries: await embed(model, test.queries.images),
    held: await embed(model, test.held),
  });
  let embedded: ReturnType<typeof embedFull> | undefined;
  const fullEmbeddings = () => {
    embedded ??= embedFull();
    return embedded;
  };
  const knnOf = (gallery: Vectors, queries: Vectors) =>
    knnTop1(gallery, test.gallery.labels, queries, test.queries.labels);

  return {
    async knn() {
      const full = await fullEmbeddings();
      return knnOf(full.gallery, full.queries);
    },
    async level(on, share, network, retrieval) {
      const full = await fullEmbeddings();
      const queries = await embed(on, test.queries.images, network);
      const held = await embed(on, test.held, network);
      const gallery = retrieval ? await embed(on, test.gallery.images, network) : undefined;
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

function meanCosine(level: Vectors, full: Vectors): number {
  const cosines = rowCosines(level.data, full.data, level.width);
  return cosines.reduce((sum, cosine) => sum + cosine, 0) / cosines.length;
}
