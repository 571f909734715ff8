export { packageFolder } from './assets.ts';
export { type GatewayLog, gatewayLog, type LogFormat } from './log.ts';
export { createNodeGateway, type RunningServer, type ServerOptions, startServer } from './server.ts';
export { readTiers } from './tiers-file.ts';
export { VERSION } from './version.ts';
