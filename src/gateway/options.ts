import type { Clock, Digest, Limiter, ModelRegistry, Scheduler } from '../serving/index.ts';
import type { ImageDecoder } from '../vit/index.ts';
import type { Elsewhere } from './elsewhere.ts';
import { HeldBytes } from './held-bytes.ts';
import { type LimitSettings, type Limits, resolveLimits } from './limits.ts';
import type { RequestRecord } from './record.ts';
import type { Tracer } from './tracing.ts';
import { fetchTransport, type Transport } from './transport.ts';

/** Pages beside the API. `docs`: the reference and `/openapi.json`. */
export const PAGES = ['metrics', 'docs', 'playground'] as const;
export type Page = (typeof PAGES)[number];

/** Everything that the application works with; entry points make it for their platform. */
export interface GatewayOptions {
  readonly registry: ModelRegistry;
  readonly scheduler: Scheduler;
  readonly limiter: Limiter;
  readonly decoder: ImageDecoder;
  readonly clock: Clock;
  /** A tier may set others. */
  /** Bytes that all bodies together may hold. @default 256 MiB */
  readonly heldBytes?: number | undefined;
  readonly limits?: LimitSettings;
  /** Where bodies come from. @default Fetch's `Request` */
  readonly transport?: Transport;
  /** SHA-256, for API keys. @default WebCrypto's */
  readonly digest?: Digest;
  /** Serves one tier only, whatever others the configuration names (a Lambda function per tier). */
  readonly tier?: string;
  /** Path that a proxy leaves in front of ours. @default '' */
  readonly basePath?: string;
  /** Fetches images by URL; without it URL inputs are refused. */
  readonly fetchImage?: FetchImage;
  /** Who else answers requests; all are answered here if absent. */
  readonly elsewhere?: Elsewhere;
  /** Told about every request, once it is answered: logs, metrics. */
  readonly observers?: readonly ((record: RequestRecord) => void)[];
  /** Makes traces of the requests under `/v1/`. */
  readonly tracer?: Tracer;
  /** Pages beside the API, which need no key. @default all */
  readonly expose?: readonly Page[];
  /** What a proxy in front proves itself with, in `X-Origin-Secret`. Requests under `/v1/` without it are refused. */
  readonly originSecret?: string;
  /** The metrics page. */
  readonly metrics?: () => Promise<{ readonly body: string; readonly contentType: string }>;
  /** Files of the playground, by path (`/`, `/playground.js`). */
  readonly assets?: (path: string) => Promise<Asset | undefined>;
  /** Of this software, for the OpenAPI document. */
  readonly version: string;
}

/** @throws Problem('url-not-allowed'), ('image-fetch-failed'), ('body-too-large') */
export type FetchImage = (url: string, signal: AbortSignal) => Promise<Uint8Array>;

export interface Asset {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly contentType: string;
}

/** The options with their defaults filled in, once. */
export type GatewayParts = Omit<GatewayOptions, 'limits' | 'transport' | 'expose'> & {
  readonly expose: readonly Page[];
  readonly limits: Limits;
  readonly transport: Transport;
  readonly held: HeldBytes;
};

export function resolveOptions(options: GatewayOptions): GatewayParts {
  const { limits, transport = fetchTransport, expose = PAGES, heldBytes } = options;
  return { ...options, expose, limits: resolveLimits(limits), transport, held: new HeldBytes(heldBytes) };
}
