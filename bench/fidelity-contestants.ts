import type { z } from 'zod';
import type { Recipe, RecipeInput } from '../src/pruning/recipe-schema.ts';
import { RecipeSchema } from '../src/pruning/recipe-schema.ts';
import { best } from '../src/pruning/recipes/best.ts';
import { snapvitReference } from '../src/pruning/recipes/snapvit-reference.ts';

/** One row group of a table: a recipe, run at some FLOP shares. */
export interface Contestant {
  readonly name: string;
  readonly recipe: Recipe;
  readonly shares: readonly number[];
  /** Ablations are measured by their cosines alone. */
  readonly retrieval: boolean;
}

/** How much of the published method's work is done; the rest of its recipe is as shipped. */
export interface Scale {
  readonly fit: number;
  readonly evaluations: number;
  readonly fitnessImages: number;
}

const UNIT_SHARES = [0.92, 0.83, 0.72, 0.62, 0.52];
const JOINT_SHARES = [0.8, 0.7, 0.6, 0.5, 0.4, 0.3];
const ABLATION_SHARES = [0.83, 0.72];
const JOINT_ABLATION_SHARES = [0.6, 0.4];

type Settings = Record<string, z.core.util.JSONType>;

/** All contestants of the comparison. */
export function contestants(scale: Scale): Contestant[] {
  const reference = scaledReference(scale);
  const local = reference.criterion.kind === 'snapvit' ? reference.criterion.local : undefined;
  if (!local) throw new RangeError('the reference recipe has local scores');
  const none = { kind: 'none' } as const;
  const simple = (name: string, criterion: RecipeInput['criterion']) =>
    contestant(name, { ...reference, criterion, correction: none }, UNIT_SHARES, true);
  const units = (name: string, changes: Partial<RecipeInput>) =>
    contestant(name, { ...bestUnits(), ...changes }, ABLATION_SHARES, false);
  const joint = (name: string, changes: Partial<RecipeInput>) =>
    contestant(name, { ...best, ...changes }, JOINT_ABLATION_SHARES, false);
  const criterion = (settings: Settings) => ({ criterion: { kind: 'best', settings } as const });
  const correction = (settings: Settings) => ({ correction: { kind: 'best', settings } as const });
  const path = (settings: Settings) => ({ path: { kind: 'best', settings } as const });
  return [
    simple('random', { kind: 'random' }),
    simple('magnitude', { kind: 'magnitude' }),
    simple('lamp', { kind: 'lamp' }),
    simple('snip-magnitude', { kind: 'snip-magnitude', local }),
    contestant('snapvit-reference, uncorrected', { ...reference, correction: none }, UNIT_SHARES, true),
    contestant('snapvit-reference', reference, UNIT_SHARES, true),
    contestant('best, units only', bestUnits(), UNIT_SHARES, true),
    contestant('best', best, JOINT_SHARES, true),
    units('units: gates close onto zero', criterion({ centre: 'zero' })),
    units('units: with interactions', criterion({ interactions: 1 })),
    units('units: the coupled ratios of the paper', { path: { kind: 'snapvit' } }),
    units('units: no correction', { correction: none }),
    units('units: biases only', correction({ kind: 'mean' })),
    units('units: ridge of 0.01', correction({ ridge: 0.01 })),
    units('units: no weight on [CLS]', correction({ pooledShare: 1 / 197 })),
    joint('joint: no correction', { correction: none }),
    joint('joint: tokens only', path({ units: false })),
    joint('joint: schedules not searched', path({ candidates: 0 })),
  ];
}

/** `best` restricted to heads and channels. */
function bestUnits(): RecipeInput {
  return { ...best, path: { kind: 'best', settings: { merging: false } } };
}

function scaledReference({ fit, evaluations, fitnessImages }: Scale): RecipeInput {
  const { criterion } = snapvitReference;
  if (criterion.kind !== 'snapvit' || !criterion.evolution) {
    throw new RangeError('the reference recipe evolves its factors');
  }
  return {
    ...snapvitReference,
    criterion: {
      ...criterion,
      local: { ...criterion.local, images: fit },
      evolution: { ...criterion.evolution, evaluations, images: fitnessImages },
    },
  };
}

function contestant(
  name: string,
  recipe: RecipeInput,
  shares: readonly number[],
  retrieval: boolean,
): Contestant {
  return { name, recipe: RecipeSchema.parse({ ...recipe, name }), shares, retrieval };
}
