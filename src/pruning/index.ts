export type {
  CalibrationImages,
  Correction,
  ImageSet,
  ImportanceCriterion,
  LadderPath,
  Picture,
  PruningContext,
  Ranking,
  StepStore,
  UnitScores,
} from './contracts.ts';
export { prune } from './prune.ts';
export type { PruneOptions, PruneResult } from './prune-options.ts';
export { readRecipe, SHIPPED_RECIPES } from './recipe/read-recipe.ts';
export type { Recipe } from './recipe/schema.ts';
