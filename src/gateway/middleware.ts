import type { Context, Next } from 'hono';
import { isProblem, Problem } from '../problem/index.ts';
import { callerOf, type RateState, type Tiers } from '../serving/index.ts';
import type { GatewayEnvironment } from './environment.ts';
import type { GatewayOptions } from './options.ts';
import { asProblem, problemResponse } from './problem-response.ts';

const REQUEST_ID = /^[\w.:-]{1,128}$/;

/** Gives every request an id, turns what is thrown into a problem, and tells the observers about the answer. */
export function observe({ clock, observers = [], tracer }: GatewayOptions) {
  return async function observe(c: Context<GatewayEnvironment>, next: Next): Promise<void> {
    const arrived = clock.now();
    const given = c.req.header('X-Request-Id');
    const requestId = given && REQUEST_ID.test(given) ? given : crypto.randomUUID();
    const trace = c.req.path.includes('/v1/')
      ? tracer?.begin(c.req.header('traceparent'), c.req.header('tracestate'))
      : undefined;
    const notes = {};
    c.set('requestId', requestId);
    c.set('arrived', arrived);
    c.set('notes', notes);
    await next();
    c.header('X-Request-Id', requestId);
    if (trace) c.header('traceresponse', trace.context);
    if (observers.length === 0 && !trace) return;
    const record = {
      event: 'request',
      requestId,
      method: c.req.method,
      route: routeOf(c),
      status: c.res.status,
      tier: c.get('tier'),
      durationMs: clock.now() - arrived,
      items: [],
      traceId: trace?.traceId,
      ...notes,
    } as const;
    for (const observer of observers) observer(record);
    trace?.end(record);
  };
}

/** The pattern that matched, so that logs and metrics have a bounded number of routes. */
function routeOf(c: Context<GatewayEnvironment>): string {
  const { path } = c.req;
  if (/^.*\/v1\/models\/[^/]+$/.test(path)) return '/v1/models/:id';
  const known = /\/(v1\/embeddings|v1\/embed|v1\/models|livez|readyz|metrics|openapi\.json|docs)$/.exec(path);
  if (known) return `/${known[1]}`;
  return path === '/' ? '/' : 'other';
}

/** Answers what was thrown with problem details. */
export function onError(log: (problem: Problem, requestId: string) => void) {
  return function onError(error: Error, c: Context<GatewayEnvironment>): Response {
    const problem = asProblem(error);
    const requestId = c.get('requestId');
    const notes = c.get('notes');
    if (notes) notes.code = problem.code;
    if (problem.code === 'internal-error') log(problem, requestId);
    return problemResponse(problem, requestId);
  };
}

/** Finds the caller's tier by the API key, and takes one request from its rate. */
export function admit({ scheduler, limiter, tier: only, digest }: GatewayOptions) {
  const served = onlyTier(only);
  return async function admit(c: Context<GatewayEnvironment>, next: Next): Promise<void> {
    const key =
      /^Bearer[ ]+(\S+)$/i.exec(c.req.header('Authorization') ?? '')?.[1] ?? c.req.header('X-Api-Key');
    const { tiers } = scheduler;
    const { tier, account } = await callerOf(served(tiers), key, digest);
    c.set('tier', tier);
    const tell = (state: RateState | undefined) => {
      if (state) for (const [name, value] of Object.entries(rateHeaders(tier, state))) c.header(name, value);
    };
    try {
      tell(await limiter.take(tiers, tier, account));
    } catch (error) {
      if (isProblem(error, 'rate-limited')) tell(spent(error));
      throw error;
    }
    await next();
  };
}

/** The tiers without all others than the one served, if it is among them; the same object as long as the tiers are the same. */
function onlyTier(only: string | undefined): (tiers: Tiers) => Tiers {
  let last: { readonly from: Tiers; readonly to: Tiers } | undefined;
  return function served(tiers) {
    const single = only === undefined ? undefined : tiers[only];
    if (only === undefined || !single) return tiers;
    if (last?.from !== tiers) last = { from: tiers, to: { [only]: single } };
    return last.to;
  };
}

/** Answers of these routes differ by the budget, problems too. */
export async function varies(c: Context<GatewayEnvironment>, next: Next): Promise<void> {
  c.header('Vary', 'Compute-Budget', { append: true });
  await next();
}

/** The state of a rate of which nothing is left. */
function spent({ details: { limit, windowSeconds, retryAfter } }: Problem): RateState {
  return {
    limit: Number(limit),
    windowSeconds: Number(windowSeconds),
    remaining: 0,
    resetSeconds: Number(retryAfter),
  };
}

/** RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers). */
export function rateHeaders(tier: string, state: RateState): Record<string, string> {
  return {
    'RateLimit-Policy': `"${tier}";q=${state.limit};w=${state.windowSeconds}`,
    RateLimit: `"${tier}";r=${state.remaining};t=${state.resetSeconds}`,
  };
}

/** What is not a route: 404, or 405 where only the method is wrong. */
export function notFound(methods: ReadonlyMap<string, string>) {
  return function notFound(c: Context<GatewayEnvironment>): Response {
    const path = c.req.path.replace(/^(.*\/v1\/models)\/[^/]+$/, '$1/:id');
    const allow = [...methods].find(([route]) => path === route || path.endsWith(route))?.[1];
    if (allow)
      throw new Problem('method-not-allowed', `${c.req.path} takes ${allow}, not ${c.req.method}.`, {
        allow,
      });
    throw new Problem(
      'unknown-route',
      `There is nothing at ${c.req.path.slice(0, 200)}. GET /docs describes what there is.`,
    );
  };
}
