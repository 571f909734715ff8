import type { z } from 'zod';
import { best } from '../../src/pruning/recipe/recipes/best.ts';
import { bestTuned } from '../../src/pruning/recipe/recipes/best-tuned.ts';
import { compact } from '../../src/pruning/recipe/recipes/compact.ts';
import { compactTuned } from '../../src/pruning/recipe/recipes/compact-tuned.ts';
import { snapvitReference } from '../../src/pruning/recipe/recipes/snapvit-reference.ts';
import type { Recipe, RecipeInput } from '../../src/pruning/recipe/schema.ts';
import { RecipeSchema } from '../../src/pruning/recipe/schema.ts';

/** One row of the tables: a recipe, run at some FLOP shares. */
export interface Contestant {
  readonly name: string;
  readonly recipe: Recipe;
  /** Shares that the path is planned for, and those of them that are measured. */
  readonly shares: readonly number[];
  readonly measured: readonly number[];
  /** Heads and channels only, or tokens too. */
  readonly kind: 'units' | 'joint';
  /** k-NN and retrieval too, or the cosines alone. */
  readonly retrieval: boolean;
  /** What weights are measured in: fp16, or the first byte of the two that levels below the full network are served with. */
  readonly storage: 'fp16' | 'first-byte';
  /** One part of `best` taken away or exchanged. */
  readonly ablation: boolean;
  /** Fitted on more pictures than the others, as its recipe wants. */
  readonly morePictures: boolean;
}

/** How much of the published method's work is done; the rest of its recipe is as shipped. */
export interface Scale {
  readonly fit: number;
  readonly evaluations: number;
  readonly fitnessImages: number;
}

const UNIT_SHARES = [0.92, 0.83, 0.72, 0.62, 0.52];
const JOINT_SHARES = [0.8, 0.7, 0.6, 0.5, 0.4, 0.3];
const ABLATED_UNIT_SHARES = [0.72];
const ABLATED_JOINT_SHARES = [0.5];

type Settings = Record<string, z.core.util.JSONType>;
type Parts = Partial<RecipeInput>;

/** All contestants of the comparison. */
export function contestants(scale: Scale): Contestant[] {
  const reference = scaledReference(scale);
  const local = reference.criterion.kind === 'snapvit' ? reference.criterion.local : undefined;
  if (!local) throw new RangeError('the reference recipe has local scores');
  const criterion = (settings: Settings): Parts => ({ criterion: { kind: 'gate-curvature', settings } });
  const correction = (settings: Settings): Parts => ({ correction: { kind: 'ridge', settings } });
  const path = (settings: Settings): Parts => ({ path: { kind: 'joint-search', settings } });
  const none: Parts = { correction: { kind: 'none' } };
  return [
    units('random', { ...reference, ...none, criterion: { kind: 'random' } }),
    units('magnitude', { ...reference, ...none, criterion: { kind: 'magnitude' } }),
    units('lamp', { ...reference, ...none, criterion: { kind: 'lamp' } }),
    units('snip-magnitude', { ...reference, ...none, criterion: { kind: 'snip-magnitude', local } }),
    units('snapvit-reference, uncorrected', { ...reference, ...none }),
    units('snapvit-reference', reference),
    units('best, units only', wholeHeads),
    units('compact', compact),
    onMorePictures(units('compact-tuned', compactTuned)),
    joint('best', best),
    joint('best, by dimensions', { ...best, attention: 'dimensions' }),
    onMorePictures(joint('best-tuned', bestTuned)),
    {
      ...joint('best, as served (first byte of each weight)', best),
      retrieval: false,
      storage: 'first-byte',
    },
    ablatedUnits("units: snapvit-reference's scores", { criterion: reference.criterion }),
    ablatedUnits('units: gates close onto zero', criterion({ centre: 'zero' })),
    ablatedUnits('units: with interactions', criterion({ interactions: 1 })),
    ablatedUnits('units: the coupled ratios of the paper', { path: { kind: 'snapvit' } }),
    ablatedUnits('units: no correction', none),
    ablatedUnits('units: biases only', correction({ kind: 'mean' })),
    ablatedUnits('units: ridge of 0.01', correction({ ridge: 0.01 })),
    ablatedUnits('units: tokens weighted alike', correction({ relative: false })),
    ablatedUnits('units: no weight on [CLS]', correction({ pooledShare: 1 / 197 })),
    ablatedUnits('compact: order by scores alone', { criterion: best.criterion }, compact),
    ablatedUnits('compact: one ridge, 64 pictures', { correction: best.correction }, compact),
    onMorePictures(ablatedUnits('compact-tuned: not tuned', untuned(compactTuned), compactTuned)),
    ablatedJoint('joint: no correction', none),
    ablatedJoint('joint: tokens only', path({ units: false })),
    ablatedJoint('joint: schedules not searched', path({ candidates: 0 })),
    ablatedJoint('joint: tokens merge by keys alone', { merging: null }),
    ablatedJoint('joint: tokens merge without regard to [CLS]', {
      merging: { rows: 0.5, sizes: 0.05, attention: 0 },
    }),
    onMorePictures(ablatedJoint('best-tuned: not tuned', untuned(bestTuned), bestTuned)),
  ];
}

/** `best` by heads and channels alone. */
const wholeHeads: RecipeInput = {
  ...best,
  merging: null,
  path: { kind: 'joint-search', settings: { merging: false } },
};

function units(name: string, recipe: RecipeInput): Contestant {
  return {
    name,
    recipe: RecipeSchema.parse({ ...recipe, name }),
    shares: UNIT_SHARES,
    measured: UNIT_SHARES,
    kind: 'units',
    retrieval: true,
    storage: 'fp16',
    ablation: false,
    morePictures: false,
  };
}

function joint(name: string, recipe: RecipeInput): Contestant {
  return { ...units(name, recipe), shares: JOINT_SHARES, measured: JOINT_SHARES, kind: 'joint' };
}

function ablatedUnits(name: string, changes: Parts, from: RecipeInput = wholeHeads): Contestant {
  const whole = units(name, { ...from, ...changes });
  return { ...whole, measured: ABLATED_UNIT_SHARES, retrieval: false, ablation: true };
}

function ablatedJoint(name: string, changes: Parts, from: RecipeInput = best): Contestant {
  const whole = joint(name, { ...from, ...changes });
  return { ...whole, measured: ABLATED_JOINT_SHARES, retrieval: false, ablation: true };
}

function onMorePictures(contestant: Contestant): Contestant {
  return { ...contestant, morePictures: true };
}

/** The correction of a recipe without the tuning after it. */
function untuned({ correction }: RecipeInput): Parts {
  if (correction.kind !== 'ridge') throw new RangeError('only the correction "ridge" tunes');
  return { correction: { ...correction, settings: { ...correction.settings, epochs: 0 } } };
}

function scaledReference({ fit, evaluations, fitnessImages }: Scale): RecipeInput {
  const { criterion, correction } = snapvitReference;
  if (correction.kind !== 'sparsegpt') throw new RangeError('the reference recipe corrects with SparseGPT');
  if (criterion.kind !== 'snapvit' || !criterion.evolution) {
    throw new RangeError('the reference recipe evolves its factors');
  }
  return {
    ...snapvitReference,
    // As many as the correction of `best` is fitted on.
    correction: { ...correction, images: Math.min(64, fit) },
    criterion: {
      ...criterion,
      local: { ...criterion.local, images: fit },
      evolution: { ...criterion.evolution, evaluations, images: fitnessImages },
    },
  };
}
