export { collect, memoryStore } from './memory.ts';
export type {
  ListedObject,
  ObjectInfo,
  ObjectStore,
  ReadOptions,
  StoredObject,
  WriteOptions,
} from './store.ts';
