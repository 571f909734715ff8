import type { WasmModule } from '../engine/runtime/wasm/index.ts';
import { createGateway, type Gateway, gatewayLog, ROUTES, routeTable } from '../gateway/index.ts';
import { RateLimiter, Scheduler, systemClock } from '../serving/index.ts';
import { r2Store } from '../storage/index.ts';
import { type CodecModules, wasmDecoder } from '../vit/web/index.ts';
import { boundAssets } from './assets.ts';
import { type EdgeBindings, type EdgeContext, type Fetcher, isFetcher } from './bindings.ts';
import { EdgeModels } from './models.ts';
import { Origin } from './origin.ts';
import { EdgeLimiter } from './rate-limit.ts';
import { sending } from './sending.ts';
import { type EdgeSettings, edgeSettings } from './settings.ts';

export interface EdgeOptions {
  readonly bindings: EdgeBindings;
  /** The tiers that were deployed with the Worker, YAML. */
  readonly tiers: string;
  /** The compiled modules that were deployed with it. */
  readonly runtime: WasmModule;
  readonly codecs: CodecModules;
  readonly version: string;
}

/** What the native gateway decodes beside what is decoded here. */
const NATIVE_TYPES = ['image/avif', 'image/gif', 'image/tiff'];
/** An origin that is bound has no address of its own; the Worker's stands for it. */
const BOUND_ORIGIN = 'http://origin';

/**
 * The gateway of one isolate: the same application as everywhere, on WebAssembly, with a native gateway behind it for what
 * does not fit. Made at the first request; nothing may be done before.
 */
export class Edge {
  readonly #models: EdgeModels;
  readonly #app: Gateway;
  readonly #table = routeTable(ROUTES);

  /** @throws Problem('invalid-settings') */
  constructor({ bindings, tiers, runtime, codecs, version }: EdgeOptions) {
    const settings = edgeSettings(bindings, tiers);
    const clock = systemClock;
    const now = () => clock.now();
    const log = gatewayLog('json', (line) => console.log(line));
    const { prefix } = settings;
    const opened = openOrigin(settings, bindings.ORIGIN, now);
    this.#models = new EdgeModels({
      store: r2Store({ bucket: bindings.MODELS, ...(prefix !== undefined && { prefix }) }),
      settings,
      wasm: runtime,
      clock,
      log,
      hasOrigin: opened !== undefined,
    });
    const scheduler = new Scheduler(settings.tiers, clock);
    const decoder = wasmDecoder(codecs);
    this.#app = createGateway(
      {
        registry: this.#models.registry,
        scheduler,
        limiter: new EdgeLimiter(new RateLimiter(clock), bindings),
        // The native gateway reads these too.
        decoder: opened ? { ...decoder, mediaTypes: [...decoder.mediaTypes, ...NATIVE_TYPES] } : decoder,
        ...(opened && { elsewhere: sending({ origin: opened, scheduler, settings, clock, log }) }),
        clock,
        limits: settings,
        observers: [log.request],
        ...(isFetcher(bindings.ASSETS) && { assets: boundAssets(bindings.ASSETS) }),
        version,
      },
      log.internal,
    );
  }

  async fetch(request: Request, context: EdgeContext): Promise<Response> {
    const route = this.#table.find(request.method, new URL(request.url).pathname);
    if (route && route.needs !== 'nothing') await this.#models.ready(context);
    return await this.#app.fetch(request);
  }
}

function openOrigin(
  { origin: address, originSecret: secret }: EdgeSettings,
  bound: unknown,
  now: () => number,
): Origin | undefined {
  const fetcher: Fetcher = isFetcher(bound) ? bound : { fetch: (request) => fetch(request) };
  if (address === undefined && !isFetcher(bound)) return undefined;
  return new Origin({ address: address ?? BOUND_ORIGIN, fetcher, secret, now });
}
