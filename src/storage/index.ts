export { collect, memoryStore } from './memory.ts';
export { type R2Binding, type R2StoreOptions, r2Store } from './r2.ts';
export type {
  ListedObject,
  ObjectInfo,
  ObjectStore,
  ReadOptions,
  StoredObject,
  WriteOptions,
} from './store.ts';
