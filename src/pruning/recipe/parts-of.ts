import { Problem } from '../../problem/index.ts';
import type { Correction, ImportanceCriterion, LadderPath } from '../contracts.ts';
import { ridgeCorrection } from '../corrections/ridge/correction.ts';
import { sparseGptCorrection } from '../corrections/sparsegpt.ts';
import { gateCurvatureCriterion } from '../criteria/gate-curvature/criterion.ts';
import { lampCriterion } from '../criteria/lamp.ts';
import { magnitudeCriterion } from '../criteria/magnitude.ts';
import { snapvitCriterion } from '../criteria/snapvit/criterion.ts';
import { snipMagnitudeCriterion } from '../criteria/snip-magnitude.ts';
import { randomCriterion } from '../criteria/uniform-random.ts';
import { jointSearchPath } from '../paths/joint-search/path.ts';
import { snapvitPath } from '../paths/snapvit.ts';
import type { Recipe } from './schema.ts';

/** The criterion that a recipe names. */
export function criterionOf({ criterion, protection }: Recipe): ImportanceCriterion {
  switch (criterion.kind) {
    case 'snapvit':
      return snapvitCriterion(criterion, protection);
    case 'random':
      return randomCriterion();
    case 'magnitude':
      return magnitudeCriterion();
    case 'lamp':
      return lampCriterion();
    case 'snip-magnitude':
      return snipMagnitudeCriterion(criterion.local);
    case 'gate-curvature':
      return gateCurvatureCriterion(criterion.settings);
    case 'released':
      throw new Problem(
        'invalid-recipe',
        'Released scores are given as a file: use --scores FILE.safetensors.',
      );
  }
}

/** The correction that a recipe names; undefined for none. */
export function correctionOf({ correction }: Recipe): Correction | undefined {
  switch (correction.kind) {
    case 'none':
      return undefined;
    case 'sparsegpt':
      return sparseGptCorrection(correction);
    case 'ridge':
      return ridgeCorrection(correction.settings);
  }
}

/** The path that a recipe names. */
export function pathOf({ path }: Recipe): LadderPath {
  switch (path.kind) {
    case 'snapvit':
      return snapvitPath();
    case 'joint-search':
      return jointSearchPath(path.settings);
  }
}
