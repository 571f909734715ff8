import { z } from 'zod';
import { asStored } from '../../src/checkpoint/index.ts';
import type { AnalysisModel } from '../../src/engine/index.ts';
import type { PruningContext, UnitScores } from '../../src/pruning/contracts.ts';
import { VariantSchema } from '../../src/pruning/paths/variant-schema.ts';
import { correctionOf, criterionOf, pathOf } from '../../src/pruning/recipe/parts-of.ts';
import { jsonStep } from '../../src/pruning/steps/step-store.ts';
import { tensorsFromBytes, tensorsToBytes } from '../../src/pruning/steps/tensor-bytes.ts';
import { rank } from '../../src/pruning/units/ranking.ts';
import { scoresFromJson, scoresToJson } from '../../src/pruning/units/scores-json.ts';
import type { TensorMap, UnitOrder, Variant } from '../../src/vit/index.ts';
import type { Contestant } from './contestants.ts';
import { type Measure, type Measured, MeasuredSchema } from './measure.ts';
import { digestOf, prefixed } from './work.ts';

/** What contestants run on: the context that they prune in, and networks with the digits of each kind of storage. */
export interface Arena {
  readonly context: PruningContext;
  readonly measure: Measure;
  /** Digest of the labelled pictures that are measured on, in order. */
  readonly pictures: string;
  readonly networks: Readonly<Record<Contestant['storage'], AnalysisModel>>;
}

/**
 * Scores, ranks, cuts, corrects and measures one contestant. Each part is a step named after the settings that it depends
 * on, so that contestants share what they have in common.
 * @returns levels in the order of the contestant's measured shares
 */
export async function runContestant(arena: Arena, contestant: Contestant): Promise<Measured[]> {
  const { context, measure, networks } = arena;
  const { recipe, shares, measured: wanted, retrieval, storage } = contestant;
  context.report.note(contestant.name);
  const scores = await scoresOf(context, contestant);
  const { units, ...ranking } = rank(context.config, scores, recipe.protection);
  const ascending = shares.toSorted((a, b) => a - b);
  const planning = { ...context, steps: prefixed(context.steps, `path-${pathName(contestant)}`) };
  const variants = await jsonStep(planning.steps, 'variants', VariantsSchema.parse, () =>
    pathOf(recipe).plan(planning, { ...ranking, units }, ascending),
  );
  const levels: Measured[] = [];
  for (const share of wanted) {
    const variant = variants[ascending.indexOf(share)];
    if (!variant) throw new RangeError(`${contestant.name} has no level at ${share}`);
    const name = levelName(contestant, share);
    const parse = (json: unknown) => MeasuredSchema.parse(json);
    const level = await jsonStep(context.steps, measuredName(arena, contestant, share), parse, async () => {
      const corrected = await correctedTensors(context, contestant, { variant, units, name });
      const replaced = corrected && stored(corrected, storage);
      const network = { variant, units, ...(replaced && { replaced }) };
      return measure.level(networks[storage], share, network, retrieval);
    });
    context.report.note(JSON.stringify(level));
    levels.push(level);
  }
  return levels;
}

/** Whether all levels of a contestant have been measured in earlier runs. */
export async function isFinished(
  arena: Pick<Arena, 'context' | 'pictures'>,
  contestant: Contestant,
): Promise<boolean> {
  const { steps } = arena.context;
  const names = contestant.measured.map((share) => measuredName(arena, contestant, share));
  return (await Promise.all(names.map((name) => steps.load(name)))).every(Boolean);
}

function pathName({ recipe, shares }: Contestant): string {
  const { criterion, protection, path, merging } = recipe;
  return digestOf([criterion, protection, path, merging, shares.toSorted((a, b) => a - b)]);
}

function levelName(contestant: Contestant, share: number): string {
  return `${digestOf([pathName(contestant), contestant.recipe.correction])}-${share}`;
}

function measuredName({ pictures }: Pick<Arena, 'pictures'>, contestant: Contestant, share: number): string {
  const { storage, retrieval } = contestant;
  return `measured-${pictures}-${levelName(contestant, share)}-${storage}-${retrieval}`;
}

const VariantsSchema = z.array(VariantSchema);

function scoresOf(context: PruningContext, { recipe }: Contestant): Promise<UnitScores> {
  const name = digestOf([recipe.criterion, recipe.protection]);
  const steps = prefixed(context.steps, `criterion-${name}`);
  const score = () => criterionOf(recipe).score({ ...context, steps });
  return jsonStep(steps, 'scores', scoresFromJson, score, scoresToJson);
}

async function correctedTensors(
  context: PruningContext,
  { recipe }: Contestant,
  level: {
    readonly variant: Variant;
    readonly units: UnitOrder;
    readonly name: string;
  },
): Promise<TensorMap | undefined> {
  const correction = correctionOf(recipe);
  if (!correction) return undefined;
  const step = `correction-${level.name}`;
  const saved = await context.steps.load(step);
  if (saved) return tensorsFromBytes(saved);
  const corrected = await correction.correct(context, level.variant, level.units);
  await context.steps.save(step, tensorsToBytes(corrected));
  return corrected;
}

/** Tensors with the digits of a kind of storage. */
export function stored(tensors: TensorMap, storage: Contestant['storage']): TensorMap {
  return storage === 'fp16' ? asStored(tensors, 'F16') : asStored(tensors, 'split', 'high');
}
