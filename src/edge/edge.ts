import type { WasmModule } from '../engine/runtime/wasm/index.ts';
import { createGateway, type Gateway, gatewayLog, problemResponse } from '../gateway/index.ts';
import { isProblem, Problem } from '../problem/index.ts';
import { callerOf, RateLimiter, systemClock } from '../serving/index.ts';
import { r2Store } from '../storage/index.ts';
import { type CodecModules, wasmDecoder } from '../vit/web/index.ts';
import { boundAssets } from './assets.ts';
import { type EdgeBindings, type EdgeContext, type Fetcher, isFetcher } from './bindings.ts';
import { type Forwarded, Forwarding, ForwardingScheduler, forwardingDecoder } from './forwarding.ts';
import { EdgeModels } from './models.ts';
import { Origin } from './origin.ts';
import { EdgeLimiter } from './rate-limit.ts';
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

/** Only these need a model. */
const NEEDS_MODELS = /^\/(v1\/|readyz$)/;
const EMBEDS = /^\/v1\/embed(dings)?$/;
/** An origin that is bound has no address of its own; the Worker's stands for it. */
const BOUND_ORIGIN = 'http://origin';

/**
 * The gateway of one isolate: the same application as everywhere, on WebAssembly, with a native gateway behind it for what
 * does not fit. Made at the first request; nothing may be done before.
 */
export class Edge {
  readonly #settings: EdgeSettings;
  readonly #forwarding = new Forwarding();
  readonly #models: EdgeModels;
  readonly #limiter: EdgeLimiter;
  readonly #app: Gateway;
  readonly #origin: Origin | undefined;

  /** @throws Problem('invalid-settings') */
  constructor({ bindings, tiers, runtime, codecs, version }: EdgeOptions) {
    const settings = edgeSettings(bindings, tiers);
    const clock = systemClock;
    const now = () => clock.now();
    const log = gatewayLog('json', (line) => console.log(line));
    const { prefix, origin } = settings;
    this.#settings = settings;
    this.#origin = openOrigin(origin, bindings.ORIGIN, now);
    this.#models = new EdgeModels({
      store: r2Store({ bucket: bindings.MODELS, ...(prefix !== undefined && { prefix }) }),
      settings,
      wasm: runtime,
      clock,
      log,
      hasOrigin: this.#origin !== undefined,
    });
    this.#limiter = new EdgeLimiter(new RateLimiter(clock), bindings);
    const decoder = wasmDecoder(codecs);
    this.#app = createGateway(
      {
        registry: this.#models.registry,
        scheduler: new ForwardingScheduler(this.#forwarding, now, settings.tiers, clock),
        limiter: this.#limiter,
        decoder: this.#origin ? forwardingDecoder(decoder, this.#forwarding) : decoder,
        clock,
        limits: { bodyBytes: settings.bodyBytes, pixels: settings.pixels },
        observers: [log.request],
        ...(isFetcher(bindings.ASSETS) && { assets: boundAssets(bindings.ASSETS) }),
        version,
      },
      log.internal,
    );
  }

  async fetch(request: Request, context: EdgeContext): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (NEEDS_MODELS.test(pathname)) await this.#models.ready(context);
    if (this.#origin && request.method === 'POST' && EMBEDS.test(pathname))
      return await this.#embed(request, this.#origin);
    this.#forwarding.keep(request.signal);
    return await this.#app.fetch(request);
  }

  async #embed(request: Request, origin: Origin): Promise<Response> {
    const large = Number(request.headers.get('Content-Length') ?? 0) > this.#settings.bodyBytes;
    if (large) return await this.#pass(request, origin);
    const asItCame = request.clone();
    const answer = await this.#app.fetch(request);
    const forwarded = this.#forwarding.wanted(request.signal);
    if (!forwarded) {
      asItCame.body?.cancel().catch(() => {});
      return answer;
    }
    const requestId = answer.headers.get('X-Request-Id') ?? '';
    const body = await asItCame.arrayBuffer();
    try {
      return withRate(await origin.send(asItCame, body, forwarded, requestId), answer);
    } catch (error) {
      if (!isProblem(error, 'origin-unavailable') || !answerableHere(forwarded))
        return asResponse(error, requestId);
      // Less is better than nothing: the level that there is here.
      const again = new Request(request.url, { method: 'POST', headers: request.headers, body });
      this.#forwarding.keep(again.signal);
      return await this.#app.fetch(again);
    }
  }

  /** A body that is too large to be kept here goes to the origin as it comes; it is counted like every other. */
  async #pass(request: Request, origin: Origin): Promise<Response> {
    const given = request.headers.get('X-Request-Id');
    const requestId = given ?? crypto.randomUUID();
    const now = systemClock.now();
    const { tiers } = this.#settings;
    const key = /^Bearer[ ]+(\S+)$/i.exec(request.headers.get('Authorization') ?? '')?.[1];
    try {
      const { tier, account } = await callerOf(tiers, key ?? request.headers.get('X-Api-Key') ?? undefined);
      await this.#limiter.take(tiers, tier, account);
      return await origin.pass(
        request,
        { reason: 'picture', budget: {}, tier, firstByte: now, bodyComplete: now },
        requestId,
      );
    } catch (error) {
      return asResponse(error, requestId);
    }
  }
}

function openOrigin(address: string | undefined, bound: unknown, now: () => number): Origin | undefined {
  const fetcher: Fetcher = isFetcher(bound) ? bound : { fetch: (request) => fetch(request) };
  if (address === undefined && !isFetcher(bound)) return undefined;
  return new Origin({ address: address ?? BOUND_ORIGIN, fetcher, now });
}

/** Whether the isolate has some answer, if not the one that was asked for. */
function answerableHere({ reason }: Forwarded): boolean {
  return reason === 'level' || reason === 'latency';
}

/** The origin's answer, with the rate limits of this gateway where it has told them. */
function withRate(answer: Response, own: Response): Response {
  const headers = new Headers(answer.headers);
  for (const name of ['RateLimit', 'RateLimit-Policy']) {
    const value = own.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  return new Response(answer.body, { status: answer.status, headers });
}

function asResponse(error: unknown, requestId: string): Response {
  const problem = isProblem(error)
    ? error
    : new Problem('internal-error', 'Something failed inside the gateway. Try again.', {}, { cause: error });
  const response = problemResponse(problem, requestId);
  response.headers.set('X-Request-Id', requestId);
  response.headers.set('Access-Control-Allow-Origin', '*');
  return response;
}
