import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { z } from 'zod';
import {
  type CheckpointContent,
  type Components,
  makeAsStored,
  numbersOf,
  probeStore,
  publishCheckpoint,
} from '../checkpoint/index.ts';
import { Problem } from '../problem/index.ts';
import { type Reporter, silent } from '../progress/index.ts';
import { openStore } from '../storage/node.ts';
import {
  elementOf,
  fullVariant,
  readModel,
  type Tensor,
  type Variant,
  type VitConfig,
} from '../vit/index.ts';
import { folderFiles, sharpDecoder } from '../vit/node.ts';
import { compareWithExpected } from './check-model.ts';
import type { ImportanceCriterion, PruningContext } from './contracts.ts';
import { releasedCriterion } from './criteria/released/criterion.ts';
import { fitPca } from './criteria/snapvit/evolution/kernels/pca.ts';
import { type Calibration, readCalibrationImages } from './data/calibration-images.ts';
import { embedImages } from './fidelity/fidelity.ts';
import { measureInt8 } from './int8.ts';
import { buildLevels } from './levels.ts';
import { type Network, openNetwork } from './open-network.ts';
import { ladderShares } from './paths/shares.ts';
import { VariantSchema } from './paths/variant-schema.ts';
import type { PruneOptions, PruneResult } from './prune-options.ts';
import { correctionOf, criterionOf, pathOf } from './recipe/parts-of.ts';
import { parseRecipe, readRecipe } from './recipe/read-recipe.ts';
import type { Recipe } from './recipe/schema.ts';
import { asStoredPath, asStoredRecipe } from './recipe/spelling.ts';
import { codeDigest } from './steps/code-digest.ts';
import { digestOf, stepName } from './steps/step-name.ts';
import { checkWritable, jsonStep, storedSteps } from './steps/step-store.ts';
import { dimensionTensors, withDimensions } from './units/dimensions/dimension-network.ts';
import { rank } from './units/ranking.ts';
import { rankingTensors } from './units/ranking-tensors.ts';
import { scoresFromJson, scoresToJson } from './units/scores-json.ts';

/** Written into the provenance. */
const TOOL = 'concertina 0.1.0';
const DEFAULT_LEVELS = 8;

/**
 * Turns a pretrained Vision Transformer into an elastic checkpoint: scores its units, ranks them, cuts a ladder of
 * levels along the path, corrects and measures each level, and publishes the whole. The same inputs, recipe and seed give
 * the same bytes; an interrupted job started again goes on from its last finished step.
 * @throws Problem('invalid-recipe'), ('invalid-scores'), ('invalid-settings'), ('no-images'), ('aborted') and what reading
 *   the model and writing the store may throw
 */
export async function prune(options: PruneOptions): Promise<PruneResult> {
  try {
    return await run(options);
  } catch (cause) {
    if (!options.signal?.aborted) throw cause;
    throw new Problem(
      'aborted',
      'Pruning was stopped. Start it again with the same settings and it goes on from its last finished step.',
      {},
      { cause },
    );
  }
}

async function run(options: PruneOptions): Promise<PruneResult> {
  const { report = silent, seed = 0, device = 'auto' } = options;
  const shares = ladderShares(options.levels ?? DEFAULT_LEVELS);
  const files = typeof options.model === 'string' ? folderFiles(options.model) : options.model;
  const name = options.name ?? basename(files.name);
  // What can only fail after hours is tried first: the store, and the folder of the steps.
  await probeStore(options.store, name, options.signal ? { signal: options.signal } : {});
  const work = await openStore(options.work ?? defaultWork());
  await checkWritable(work);
  const source = await readModel(files);
  for (const assumption of source.assumed) report.note(`Assumed: ${assumption}.`);
  const compared = await compareWithExpected(files, source, (network) =>
    openNetwork({ device, report }, network),
  );
  if (compared !== undefined) report.note(compared);
  const { recipe, criterion } = await resolveRecipe(options, source.config);
  const merged = recipe.merging ? { ...source.config, merging: recipe.merging } : source.config;
  const [correction, path] = [correctionOf(recipe), pathOf(recipe)];
  const images = await readImages(options, merged, recipe, report);
  const dtype = numbersOf({ dtype: DTYPES[recipe.storage], levels: shares });
  const made = digestOf({
    code: await codeDigest(),
    source: source.digests,
    images: [images.digest, recipe.images],
    attention: recipe.attention,
    dtype,
    seed,
    // Devices round differently.
    device,
  });
  const steps = storedSteps(work, made.slice(0, 32), digestOf({ recipe, shares }).slice(0, 16));
  const given = { images, seed, device, report, steps, ...(options.signal && { signal: options.signal }) };
  const { config, tensors: exact } =
    recipe.attention === 'dimensions'
      ? await byDimensions({ config: merged, tensors: source.tensors }, given)
      : { config: merged, tensors: source.tensors };
  const tensors = makeAsStored(exact, dtype);
  const model = await openNetwork(given, { config, tensors });
  const context: PruningContext = { ...given, config, tensors, model };
  try {
    const score = () => criterion.score(context);
    const { protection } = recipe;
    const scored = stepName('scores', { criterion: recipe.criterion, protection });
    const scores = await jsonStep(steps, scored, scoresFromJson, score, scoresToJson);
    const ranking = rank(config, scores, protection);
    const { merging } = config;
    const ladder = stepName('variants', { path: recipe.path, ranking, shares, merging });
    const planned = await jsonStep(steps, ladder, VariantsSchema.parse, () =>
      path.plan(context, ranking, shares),
    );
    const variants = distinct(planned, config);
    const levels = await buildLevels(context, {
      variants,
      ranking,
      correction,
      dtype,
      settings: { correction: recipe.correction, merging },
    });
    const components = await principalComponents(context, recipe.components);
    const { held } = images;
    const reference = await embedImages(model, held, held.count, { signal: options.signal });
    // Its copies of the weights make room for the bytes of the checkpoint.
    await model.dispose();
    const content: CheckpointContent = {
      model: name,
      config,
      tensors,
      units: ranking.units,
      levels,
      keepFp32: [],
      ranking: rankingTensors(config, scores, ranking),
      ...(components && { components }),
      provenance: {
        tool: TOOL,
        // A recipe is plain JSON data: strings, numbers, lists and null.
        recipe: { ...asStoredRecipe(recipe), levels: shares },
        seed,
        path: asStoredPath(path.name),
        source: source.digests,
        ...(source.assumed.length > 0 && { assumed: source.assumed }),
        images: { digest: images.digest, used: images.used, skipped: images.skipped },
      },
      dtype,
    };
    const int8 =
      recipe.int8 && numbersOf(content) === 'split'
        ? await measureInt8(context, content, reference, recipe.int8)
        : {};
    const { digest, manifest } = await publishCheckpoint(
      options.store,
      { ...content, ...int8 },
      options.signal ? { signal: options.signal } : {},
    );
    await steps.clear();
    return {
      name,
      digest,
      recipe,
      ladder: manifest.ladder,
      images: { used: images.used, skipped: images.skipped },
    };
  } finally {
    await model.dispose();
  }
}

/** The same network with dimensions as its units of attention, where it can have them. */
async function byDimensions(
  network: Network & { readonly tensors: Map<string, Tensor> },
  given: Omit<PruningContext, 'model' | 'config' | 'tensors'>,
): Promise<Network & { readonly tensors: Map<string, Tensor> }> {
  if (network.config.rope) {
    given.report.note(
      'Heads stay whole: the rotary embedding of this network turns their dimensions in pairs.',
    );
    return network;
  }
  const model = await openNetwork(given, network);
  try {
    const tensors = await dimensionTensors({ ...given, ...network, model });
    return { config: withDimensions(network.config), tensors };
  } finally {
    await model.dispose();
  }
}

async function resolveRecipe(
  options: PruneOptions,
  config: VitConfig,
): Promise<{ recipe: Recipe; criterion: ImportanceCriterion }> {
  const { recipe: wanted = 'best' } = options;
  const named = typeof wanted === 'string' ? await readRecipe(wanted) : parseRecipe(wanted);
  const recipe: Recipe = options.path ? onPath(named, options.path) : named;
  if (options.scores !== undefined) return releasedCriterion(options.scores, config, recipe);
  return { recipe, criterion: criterionOf(recipe) };
}

/** The recipe's own settings when it already has that path, the path's defaults otherwise. The published path is one of heads. */
function onPath(recipe: Recipe, wanted: NonNullable<PruneOptions['path']>): Recipe {
  const kind = wanted === 'best' ? 'joint-search' : wanted;
  if (recipe.path.kind === kind) return recipe;
  return kind === 'joint-search'
    ? { ...recipe, path: { kind, settings: {} } }
    : { ...recipe, path: { kind }, attention: 'heads' };
}

function readImages(
  options: PruneOptions,
  config: VitConfig,
  recipe: Recipe,
  report: Reporter,
): Promise<Calibration> {
  return readCalibrationImages({
    ...recipe.images,
    folder: options.images,
    config,
    decoder: sharpDecoder(),
    seed: options.seed ?? 0,
    report,
    signal: options.signal,
  });
}

function defaultWork(): string {
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'concertina', 'work');
}

const DTYPES = { split: 'split', fp16: 'F16', fp32: 'F32' } as const;

const VariantsSchema = z.array(VariantSchema);

/** Different shares may give the same variant of a small network: it is one level. The full network is always the last. */
function distinct(variants: readonly Variant[], config: VitConfig): Variant[] {
  const all = [...variants, fullVariant(config)];
  const keys = all.map(({ heads, channels, merge, queries, values }) =>
    JSON.stringify([heads, channels, merge, queries, values]),
  );
  return all.filter((_, index) => keys.indexOf(elementOf(keys, index)) === index);
}

async function principalComponents(context: PruningContext, wanted: number): Promise<Components | undefined> {
  const { fit } = context.images;
  const width = context.config.embeddingWidth;
  if (wanted === 0 || fit.count < 2) return undefined;
  const embeddings = await embedImages(context.model, fit, fit.count, { signal: context.signal });
  const pca = fitPca(embeddings, fit.count, width, wanted);
  if (pca.count === 0) return undefined;
  const [mean, matrix] = [Float32Array.from(pca.mean), Float32Array.from(pca.components)];
  return { mean, matrix, count: pca.count };
}
