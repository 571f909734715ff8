import type { ActivationMeans, Gradients } from '../../../engine/index.ts';
import { Problem } from '../../../problem/index.ts';
import { elementOf, type UnitKind, unitCount, unitKinds } from '../../../vit/index.ts';
import type { PruningContext } from '../../contracts.ts';
import { groups, ordered, range } from '../../data/ordered.ts';
import { createRandom } from '../../data/random.ts';
import { throughNormalisation } from './kernels/columns.ts';

/**
 * Derivatives of random projections of the L2-normalised embedding with respect to a gate on every unit. The sum of the
 * squares of a column is the Gauss-Newton diagonal of the embedding's distortion; the whole matrix holds the
 * interactions between units in low rank.
 */
export interface GateSamples {
  /** Images times projections. */
  readonly rows: number;
  /** For every kind of unit that the network has, per block `[rows, units]`. */
  readonly gates: ReadonlyMap<UnitKind, readonly Float32Array[]>;
}

export interface GateSettings {
  /** Calibration images; all there are when there are fewer. */
  readonly images: number;
  /** Random projections of each image's embedding. */
  readonly projections: number;
}

const IMAGES_PER_CALL = 8;
const CALLS_IN_PROGRESS = 4;

/** Samples the gate derivatives of the full network, gates closing onto the mean activation. */
export async function gateSamples(
  context: PruningContext,
  settings: GateSettings,
  centre: ActivationMeans,
): Promise<GateSamples> {
  const { config } = context;
  const images = Math.min(settings.images, context.images.fit.count);
  const rows = images * settings.projections;
  const gates = new Map(
    unitKinds(config).map((kind) => [
      kind,
      range(config.depth).map(() => new Float32Array(rows * unitCount(config, kind))),
    ]),
  );
  const step = context.report.step('gate curvature', images);
  let row = 0;
  const batches = groups(range(images), IMAGES_PER_CALL);
  for await (const parts of ordered(batches, CALLS_IN_PROGRESS, (batch) =>
    batchSamples(context, batch, settings.projections, centre),
  )) {
    for (const part of parts) {
      for (const [kind, perBlock] of gates) {
        const given = gatesOf(part, kind);
        if (!given) throw noGates();
        for (const [block, samples] of perBlock.entries())
          samples.set(elementOf(given, block), row * unitCount(config, kind));
      }
      row += elementOf(part.channelGates, 0).length / config.channels;
    }
    step.advance(Math.round(row / settings.projections));
  }
  step.end();
  return { rows, gates };
}

function gatesOf(gradients: Gradients, kind: UnitKind): readonly Float32Array[] | undefined {
  const { headGates, queryGates, valueGates, channelGates } = gradients;
  return { heads: headGates, queries: queryGates, values: valueGates, channels: channelGates }[kind];
}

async function batchSamples(
  { config, model, images, seed, signal }: PruningContext,
  batch: readonly number[],
  projections: number,
  centre: ActivationMeans,
) {
  signal?.throwIfAborted();
  const pixels = await images.fit.pixels(batch);
  const embeddings = await model.embed(pixels, batch.length);
  const results = [];
  for (const projection of range(projections)) {
    const cotangents = new Float32Array(embeddings.length);
    for (const [at, image] of batch.entries()) {
      const random = createRandom(seed, 'projection', image, projection);
      const row = embeddings.subarray(at * config.embeddingWidth, (at + 1) * config.embeddingWidth);
      cotangents.set(
        normalisedCotangent(row, () => random.normal()),
        at * config.embeddingWidth,
      );
    }
    results.push(await model.gradients(pixels, batch.length, cotangents, { gates: true, centre }));
  }
  return results;
}

/**
 * dL/de for `L = dz . z`, `z = e / |e|`, with `dz` drawn at random: `(dz - z (z . dz)) / |e|`.
 * @param embedding `[embeddingWidth]`
 */
export function normalisedCotangent(embedding: Float32Array, draw: () => number): Float32Array {
  return throughNormalisation(embedding, Float64Array.from(embedding, draw));
}

function noGates(): Problem {
  return new Problem('engine-failed', 'The engine gave no gate gradients although they were asked for.');
}
