/** What needs Node: files, and the choice of a driver by an address. */
export { type CacheOptions, cachedStore } from './cache.ts';
export { fsStore } from './fs.ts';
export { openStore } from './open.ts';
export type { S3Credentials, S3StoreOptions } from './s3-client.ts';
