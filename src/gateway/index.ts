export { EXPOSED_HEADERS } from './answer-headers.ts';
export { createGateway, PAGE_POLICY } from './app.ts';
export type { Gateway } from './environment.ts';
export { DEFAULT_LIMITS, type Limits } from './limits.ts';
export { openApiDocument } from './openapi.ts';
export type { Asset, FetchImage, GatewayOptions } from './options.ts';
export type { ItemRecord, RequestRecord } from './record.ts';
export type { EmbeddingsResponse, ModelResponse } from './request-schemas.ts';
export type { Trace, Tracer } from './tracing.ts';
