export { openModel } from './open-model.ts';
export { type HubReference, type ModelReference, parseReference } from './reference.ts';
export type { HubOptions } from './settings.ts';
export { storeFiles } from './store-files.ts';
