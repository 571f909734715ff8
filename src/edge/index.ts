/** The gateway on Cloudflare Workers. */
export type { EdgeBindings, EdgeContext } from './bindings.ts';
export { Edge, type EdgeOptions } from './edge.ts';
export { bytesForModels, highestLevel } from './memory-plan.ts';
export { EDGE_FINGERPRINT, profileKey } from './profile.ts';
export { rateBindingName } from './rate-limit.ts';
export { type EdgeSettings, edgeSettings } from './settings.ts';
