import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { availableParallelism } from 'node:os';
import { getRequestListener } from '@hono/node-server';
import sharp from 'sharp';
import type { ModelOptions, PrecisionChoice } from '../engine/index.ts';
import {
  createGateway,
  type FetchImage,
  type GatewayLog,
  gatewayLog,
  type LimitSettings,
  type Page,
} from '../gateway/index.ts';
import { Problem } from '../problem/index.ts';
import { answers, ModelRegistry, RateLimiter, Scheduler, systemClock } from '../serving/index.ts';
import type { ObjectStore } from '../storage/index.ts';
import { folderAssets } from './assets.ts';
import { liveTiers } from './live-tiers.ts';
import { ModelLoader } from './model-loader.ts';
import { nodeTransport } from './node-transport.ts';
import { requestTracer, SpanExporter, type TraceSettings } from './otel/index.ts';
import { pictureDecoder } from './picture-decoder.ts';
import { boundedPipelining } from './pipelining.ts';
import { prometheusMetrics } from './prometheus.ts';
import { VERSION } from './version.ts';

export interface ServerOptions {
  readonly store: ObjectStore;
  /** 0: any free port. @default 8787 */
  readonly port?: number | undefined;
  /** @default '127.0.0.1' */
  readonly host?: string | undefined;
  /** Tiers configuration; one open tier if absent. */
  readonly config?: string | undefined;
  /** Keys kept outside of it: a file, or `secretsmanager:` and the name or ARN of a secret; read again every minute. */
  readonly keys?: string | undefined;
  /** Serve this tier only. */
  readonly tier?: string | undefined;
  readonly basePath?: string | undefined;
  /** Models to serve; the first is that of requests which name none. @default all of the store */
  readonly models?: readonly string[] | undefined;
  readonly device?: ModelOptions['device'] | undefined;
  /** Engine threads. @default one per core */
  readonly workers?: number | undefined;
  /** Threads of each engine worker for one image. @default 1 */
  readonly threads?: number | undefined;
  /** Pages beside the API that are answered without a key. @default all */
  readonly expose?: readonly Page[] | undefined;
  /** What a proxy in front proves itself with, in `X-Origin-Secret`; requests under `/v1/` without it are refused. */
  readonly originSecret?: string | undefined;
  /** What levels are computed in. @default 'auto', every precision that the checkpoint has */
  readonly precision?: PrecisionChoice | undefined;
  /** Which levels have their weights packed in every worker. @default 'auto', by the free memory; on a GPU all */
  readonly packing?: ModelOptions['packing'] | undefined;
  /** An engine worker that takes longer than this, and 20 times longer than expected, is replaced, ms. @default 10_000 */
  readonly hangMs?: number | undefined;
  readonly limits?: LimitSettings | undefined;
  readonly fetchImage?: FetchImage | undefined;
  /** How often the store is asked for newer versions, ms; 0 never. @default 10_000 */
  readonly pollMs?: number | undefined;
  /** First wait before damaged bytes of a model are read again, ms; longer every further time. @default 30_000 */
  readonly rereadMs?: number | undefined;
  readonly log?: GatewayLog | undefined;
  /** Where traces go; from the environment: `traceSettings(process.env)`. None if absent. */
  readonly traces?: TraceSettings | undefined;
}

export interface RunningServer {
  readonly url: string;
  readonly port: number;
  /** When every level of every model has been loaded. */
  loaded(): Promise<void>;
  /** Finishes accepted requests, refuses new ones, and frees everything; at most `graceMs` (20 s). Idempotent. */
  close(graceMs?: number): Promise<void>;
}

const GRACE_MS = 20_000;
/** How often keys that are kept outside of the tiers file are read again. */
const KEYS_MS = 60_000;

/** The parts of a gateway on Node without a listening socket: what Lambda and the server share. */
export async function createNodeGateway(options: ServerOptions) {
  // Decoding runs on libuv's threads beside the engine's: one thread an image keeps them out of each other's way.
  sharp.concurrency(1);
  // libvips would keep what it decoded for the next time; no picture comes twice.
  sharp.cache(false);
  const log = options.log ?? gatewayLog('none', () => {});
  const tiers = await liveTiers(options, { log, keysMs: options.pollMs === 0 ? 0 : KEYS_MS });
  const clock = systemClock;
  const registry = new ModelRegistry();
  registry.defaultModel = options.models?.[0];
  const onDevice = /cuda|webgpu/.test(options.device ?? '');
  const scheduler = new Scheduler(tiers.current, clock, {
    hangMs: options.hangMs,
    decodeAhead: onDevice ? availableParallelism() : 0,
  });
  tiers.onChange = (changed) => {
    scheduler.tiers = changed;
  };
  const decoder = pictureDecoder();
  const metrics = prometheusMetrics(scheduler, registry);
  const { tier, basePath, limits, fetchImage, device, workers, threads, packing, expose, originSecret } =
    options;
  const loader = new ModelLoader({
    store: options.store,
    registry,
    clock,
    log,
    engine: {
      onFallback: log.note,
      ...(device === undefined ? {} : { device }),
      ...(workers === undefined ? {} : { workers }),
      ...(threads === undefined ? {} : { threads }),
      ...(packing === undefined ? {} : { packing }),
    },
    precision: options.precision,
    models: options.models,
    pollMs: options.pollMs ?? 10_000,
    rereadMs: options.rereadMs,
    enough: (model) =>
      Object.entries(scheduler.tiers).every(
        ([name, limits]) => (tier !== undefined && name !== tier) || answers(model, limits),
      ),
  });
  const exporter = options.traces && new SpanExporter(options.traces, log.note);
  const app = createGateway(
    {
      registry,
      scheduler,
      limiter: new RateLimiter(clock),
      decoder,
      clock,
      transport: nodeTransport,
      digest: (bytes) => createHash('sha256').update(bytes).digest(),
      observers: [metrics.observe, log.request],
      metrics: metrics.render,
      assets: folderAssets(),
      version: VERSION,
      ...(limits && { limits }),
      ...(tier !== undefined && { tier }),
      ...(basePath !== undefined && { basePath }),
      ...(expose && { expose }),
      ...(originSecret !== undefined && { originSecret }),
      ...(fetchImage && { fetchImage }),
      ...(options.traces &&
        exporter && { tracer: requestTracer(options.traces, (spans) => exporter.add(spans)) }),
    },
    log.internal,
  );
  const dispose = async (): Promise<void> => {
    tiers.stop();
    decoder.close();
    await loader.stop();
    await registry.dispose();
    await exporter?.flush();
  };
  const flush = async () => exporter?.flush();
  return { app, loader, scheduler, registry, dispose, flush, refreshKeys: tiers.refreshKeys };
}

/**
 * Starts a gateway. It listens at once (`/livez`), and is returned when every model answers at a level that keeps the floor of
 * every tier served; the rest streams in while it answers.
 * @throws Problem('invalid-settings'), and what store and engine throw
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { app, loader, scheduler, dispose } = await createNodeGateway(options);
  const server = createServer(boundedPipelining(getRequestListener(app.fetch)));
  server.headersTimeout = 10_000;
  server.requestTimeout = 120_000;
  server.keepAliveTimeout = 65_000; // above the 60 s of common load balancers, so that they close first
  const answered = unanswered(server);
  const host = options.host ?? '127.0.0.1';
  try {
    await listen(server, options.port ?? 8787, host);
    await loader.start();
  } catch (error) {
    server.closeAllConnections();
    server.close();
    await dispose();
    throw error;
  }
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  let closing: Promise<void> | undefined;
  const close = async (graceMs: number): Promise<void> => {
    const bounded = AbortSignal.timeout(graceMs);
    const over = new Promise<void>((done) => bounded.addEventListener('abort', () => done(), { once: true }));
    // New requests are refused with 503 while the accepted ones finish.
    await Promise.race([scheduler.drain(), over]);
    server.close();
    await Promise.race([answered(), over]);
    server.closeAllConnections();
    await dispose();
  };
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    loaded: () => loader.loaded(),
    close: (graceMs = GRACE_MS) => {
      closing ??= close(graceMs);
      return closing;
    },
  };
}

/** Keeps count of requests. @returns what waits until each that has arrived whole has been answered whole */
function unanswered(server: Server): () => Promise<void> {
  const open = new Set<IncomingMessage>();
  const ended = new EventEmitter();
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    open.add(request);
    response.once('close', () => {
      open.delete(request);
      ended.emit('one');
    });
  });
  return async function answered() {
    // An upload that is still on its way was not accepted.
    while ([...open].some(({ complete }) => complete)) await once(ended, 'one');
  };
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((done, fail) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const busy = cause.code === 'EADDRINUSE';
      fail(
        new Problem(
          'invalid-settings',
          busy
            ? `Port ${port} of ${host} is in use. Choose another: --port ${port + 1}.`
            : `The gateway cannot listen on ${host}:${port}: ${cause.message}`,
          { port, host },
          { cause },
        ),
      );
    });
    server.listen(port, host, () => done());
  });
}
