export type {
  ListedObject,
  ObjectInfo,
  ObjectStore,
  ReadOptions,
  StoredObject,
  WriteOptions,
} from './store.ts';
