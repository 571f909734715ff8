export { packageFolder } from './assets.ts';
export { type BulkBatch, BulkBatchSchema, type BulkResult, embedBatch } from './bulk.ts';
export { type Embedder, openEmbedder } from './embedder.ts';
export { type FetchImageOptions, imageFetcher } from './fetch-image.ts';
export { type GatewayLog, gatewayLog, type LogFormat } from './log.ts';
export { createNodeGateway, type RunningServer, type ServerOptions, startServer } from './server.ts';
export { optionsFromEnvironment } from './settings.ts';
export { readTiers } from './tiers-file.ts';
export { VERSION } from './version.ts';
