export type { Budget, ComputeBudgetBody, Term, TermName } from './budget.ts';
export { budgetFromBody, ComputeBudgetSchema, tightest } from './budget.ts';
export { parseBudgetHeader } from './header.ts';
export type { ProfileEntry, StoredProfile } from './latency-profile.ts';
export { LatencyProfile, StoredProfileSchema } from './latency-profile.ts';
export type { LimitedBy, Plan, PlanContext } from './plan.ts';
export { plan } from './plan.ts';
export type { TierBounds } from './tier-bounds.ts';
