import { plan } from '../budget/index.ts';
import { isProblem } from '../problem/index.ts';
import type { ServedModel } from './served-model.ts';
import { boundsOf, type Tier } from './tiers.ts';

/** Whether a request of the tier that asks for nothing special can be answered with what is loaded: not below its floor. */
export function answers(model: ServedModel, tier: Tier): boolean {
  if (model.loaded < 0) return false;
  const { ladder, precisions, loaded } = model;
  const predict = () => 0; // time is not what is asked for
  try {
    plan({}, { ladder, precisions, loaded, predict, tier: boundsOf(tier, {}, model.ceiling) });
    return true;
  } catch (error) {
    if (isProblem(error, 'not-ready') || isProblem(error, 'loading-stopped')) return false;
    // Bounds that no level of this model keeps are the configuration's fault; waiting would not help.
    if (isProblem(error, 'budget-unsatisfiable')) return true;
    throw error;
  }
}
