export { budgetFromBody, ComputeBudgetSchema } from './body.ts';
export type { Aim, Budget, Term, TermName } from './budget.ts';
export { aimOf, formatBudget, givesUp, tightest } from './budget.ts';
export { parseBudgetHeader } from './header.ts';
export type { ProfileEntry, StoredProfile } from './latency-profile.ts';
export { LatencyProfile, StoredProfileSchema } from './latency-profile.ts';
export type { LimitedBy, Plan, PlanContext } from './plan.ts';
export { plan } from './plan.ts';
export type { TierBounds } from './tier-bounds.ts';
