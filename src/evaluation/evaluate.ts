import { readFile } from 'node:fs/promises';
import { openCheckpoint, type Precision } from '../checkpoint/index.ts';
import { createModel, type ElasticModel, ladderOptions, type ModelOptions } from '../engine/index.ts';
import { isProblem, Problem } from '../problem/index.ts';
import { type Reporter, silent } from '../progress/index.ts';
import type { ObjectStore } from '../storage/index.ts';
import { elementOf } from '../vit/index.ts';
import { sharpDecoder } from '../vit/node.ts';
import { linearProbeTop1 } from './kernels/linear-probe.ts';
import type { Vectors } from './kernels/vectors.ts';
import type { LabelledImage, LabelledImages } from './labelled-images.ts';
import { crossBudgetRecall, fidelity, knnTop1 } from './measures.ts';

/** Runs whose median is a level's time; the first is not counted. */
const TIMED_RUNS = 9;

export interface EvaluatedLevel {
  readonly level: number;
  readonly precision: Precision;
  /** Share of the full network's FLOPs. */
  readonly flops: number;
  readonly gflops: number;
  readonly params: number;
  /** Cosine to the full network's embeddings of the queries. */
  readonly fidelity: { readonly mean: number; readonly p5: number };
  readonly knn: number;
  readonly probe: number;
  /** Share of queries, embedded at this level, that find what the full network finds first in a gallery embedded at full. */
  readonly recall: { readonly at1: number; readonly at10: number };
  /** Median time of one image on one worker, ms. */
  readonly ms: number;
}

export interface Evaluation {
  readonly model: string;
  readonly digest: string;
  readonly recipe: string;
  readonly gallery: number;
  readonly queries: number;
  readonly skipped: number;
  readonly levels: readonly EvaluatedLevel[];
}

export interface EvaluateOptions extends Pick<ModelOptions, 'device'> {
  readonly report?: Reporter;
  readonly signal?: AbortSignal;
}

/**
 * Measures every level of a checkpoint on labelled pictures that it was not fitted on.
 * @throws Problem('unknown-checkpoint'), ('no-images')
 */
export async function evaluate(
  store: ObjectStore,
  model: string,
  images: LabelledImages,
  { device, report = silent, signal }: EvaluateOptions = {},
): Promise<Evaluation> {
  const { digest, manifest, levels } = await openCheckpoint(store, model, signal ? { signal } : {});
  const { ladder } = manifest;
  const engine = await createModel({
    ...ladderOptions(manifest),
    device,
    onFallback: (reason) => report.note(reason),
  });
  try {
    for await (const weights of levels(signal ? { signal } : {})) await engine.install(weights);
    const reading = report.step(`${model}: read pictures`, images.gallery.length + images.queries.length);
    const gallery = await readPixels(images.gallery, engine, (done) => reading.advance(done), signal);
    const queries = await readPixels(
      images.queries,
      engine,
      (done) => reading.advance(images.gallery.length + done),
      signal,
    );
    reading.end();
    const top = ladder.length - 1;
    const full = {
      gallery: await embedAll(engine, gallery.pixels, { level: top, precision: 'fp32' }, signal),
      queries: await embedAll(engine, queries.pixels, { level: top, precision: 'fp32' }, signal),
    };
    const runs = engine.precisions.flatMap((precision) =>
      ladder.map((entry, level) => ({ ...entry, level, precision })),
    );
    const step = report.step(`${model}: levels`, runs.length);
    const measured: EvaluatedLevel[] = [];
    for (const { level, precision, share, flops, params } of runs) {
      const own =
        level === top && precision === 'fp32'
          ? full
          : {
              gallery: await embedAll(engine, gallery.pixels, { level, precision }, signal),
              queries: await embedAll(engine, queries.pixels, { level, precision }, signal),
            };
      const [at1 = 0, at10 = 0] = crossBudgetRecall(full.gallery, full.queries, own.queries, [1, 10]);
      measured.push({
        level,
        precision,
        flops: share,
        gflops: flops / 1e9,
        params,
        fidelity: fidelity(own.queries, full.queries),
        knn: knnTop1(own.gallery, gallery.labels, own.queries, queries.labels),
        probe: linearProbeTop1(
          own.gallery,
          gallery.labels,
          own.queries,
          queries.labels,
          images.classes.length,
        ),
        recall: { at1, at10 },
        ms: await timeOf(engine, elementOf(queries.pixels, 0), { level, precision }),
      });
      step.advance(measured.length, `k-NN ${measured.at(-1)?.knn.toFixed(3)}`);
    }
    step.end();
    const { recipe } = manifest.provenance;
    return {
      model,
      digest,
      recipe: typeof recipe === 'object' && recipe && 'name' in recipe ? String(recipe.name) : 'unknown',
      gallery: gallery.labels.length,
      queries: queries.labels.length,
      skipped: images.gallery.length + images.queries.length - gallery.labels.length - queries.labels.length,
      levels: measured,
    };
  } finally {
    await engine.dispose();
  }
}

interface Pixels {
  readonly pixels: Float32Array[];
  readonly labels: number[];
}

async function readPixels(
  images: readonly LabelledImage[],
  { config }: ElasticModel,
  advance: (done: number) => void,
  signal: AbortSignal | undefined,
): Promise<Pixels> {
  const decoder = sharpDecoder();
  const [pixels, labels]: [Float32Array[], number[]] = [[], []];
  for (const [index, { file, label }] of images.entries()) {
    signal?.throwIfAborted();
    try {
      pixels.push(await decoder.decode(await readFile(file), config));
      labels.push(label);
    } catch (error) {
      if (!isProblem(error)) throw error;
    }
    advance(index + 1);
  }
  if (pixels.length === 0) throw new Problem('no-images', 'None of the pictures can be read.');
  return { pixels, labels };
}

interface Run {
  readonly level: number;
  readonly precision: Precision;
}

async function embedAll(
  engine: ElasticModel,
  pixels: readonly Float32Array[],
  run: Run,
  signal: AbortSignal | undefined,
): Promise<Vectors> {
  const width = engine.config.embeddingWidth;
  const data = new Float32Array(pixels.length * width);
  let next = 0;
  const worker = async () => {
    while (next < pixels.length) {
      signal?.throwIfAborted();
      const index = next++;
      data.set(await engine.embed(elementOf(pixels, index), 1, run), index * width);
    }
  };
  await Promise.all(Array.from({ length: engine.concurrency }, worker));
  return { width, count: pixels.length, data };
}

async function timeOf(engine: ElasticModel, pixels: Float32Array, how: Run): Promise<number> {
  const times: number[] = [];
  for (let run = 0; run <= TIMED_RUNS; run++) {
    const began = performance.now();
    await engine.embed(pixels, 1, how);
    if (run > 0) times.push(performance.now() - began);
  }
  return elementOf(
    times.toSorted((a, b) => a - b),
    TIMED_RUNS >> 1,
  );
}
