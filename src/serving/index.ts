export { type Clock, systemClock } from './clock.ts';
export type { DecodeWork } from './decode-work.ts';
export { type Caller, callerOf, createKey, type Digest } from './keys.ts';
export { type Limiter, RateLimiter, type RateState } from './rate-limit.ts';
export { answers } from './readiness.ts';
export { ModelRegistry } from './registry.ts';
export { type EmbedAnswer, type EmbedRequest, Scheduler, type SchedulerOptions } from './scheduler.ts';
export { ServedModel } from './served-model.ts';
export { boundsOf, OPEN_TIERS, parseTiers, type Tier, type Tiers, TiersSchema } from './tiers.ts';
