import type { Context, Next } from 'hono';
import { isProblem, Problem } from '../problem/index.ts';
import { callerOf, type RateState, type Tiers } from '../serving/index.ts';
import type { GatewayEnvironment } from './environment.ts';
import type { GatewayParts } from './options.ts';
import { asProblem, problemResponse } from './problem-response.ts';
import type { RouteTable } from './route-table.ts';

const REQUEST_ID = /^[\w.:-]{1,128}$/;

/** Gives every request an id, turns what is thrown into a problem, and tells the observers about the answer. */
export function observe({ clock, observers = [], tracer }: GatewayParts, table: RouteTable) {
  return async function observe(c: Context<GatewayEnvironment>, next: Next): Promise<void> {
    const firstByte = clock.now();
    const route = table.find(c.req.method, c.req.path);
    const given = c.req.header('X-Request-Id');
    const requestId = given && REQUEST_ID.test(given) ? given : crypto.randomUUID();
    const trace =
      route?.access === 'keyed'
        ? tracer?.begin(c.req.header('traceparent'), c.req.header('tracestate'))
        : undefined;
    const notes = {};
    c.set('requestId', requestId);
    c.set('firstByte', firstByte);
    c.set('problemShape', route?.problem);
    c.set('notes', notes);
    await next();
    c.header('X-Request-Id', requestId);
    if (trace) c.header('traceresponse', trace.context);
    if (observers.length === 0 && !trace) return;
    const record = {
      event: 'request',
      requestId,
      method: c.req.method,
      route: table.pattern(c.req.method, c.req.path) ?? unlisted(c.req.path),
      status: c.res.status,
      tier: c.get('tier'),
      durationMs: clock.now() - firstByte,
      items: [],
      traceId: trace?.traceId,
      ...notes,
    } as const;
    for (const observer of observers) observer(record);
    trace?.end(record);
  };
}

/** Logs and metrics have a bounded number of routes: patterns, the page, and everything else. */
const unlisted = (path: string): string => (path === '/' ? '/' : 'other');

/** Answers what was thrown with problem details. */
export function onError(log: (problem: Problem, requestId: string) => void) {
  return function onError(error: Error, c: Context<GatewayEnvironment>): Response {
    const problem = asProblem(error);
    const requestId = c.get('requestId');
    const notes = c.get('notes');
    if (notes) notes.code = problem.code;
    if (problem.code === 'internal-error') log(problem, requestId);
    return problemResponse(problem, requestId, c.get('problemShape'));
  };
}

/** Finds the caller's tier by the API key, and takes one request from its rate. */
export function admit({ scheduler, limiter, tier: only, digest }: GatewayParts) {
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

/** Refuses what does not come through the proxy that knows the secret. */
export function fromOrigin(secret: string) {
  const expected = new TextEncoder().encode(secret);
  return async function fromOrigin(c: Context<GatewayEnvironment>, next: Next): Promise<void> {
    const given = new TextEncoder().encode(c.req.header('X-Origin-Secret') ?? '');
    let difference = given.length ^ expected.length;
    for (const [at, byte] of expected.entries()) difference |= byte ^ (given[at] ?? 0);
    if (difference !== 0)
      throw new Problem(
        'not-the-front-door',
        'This gateway answers only what comes through its front door. Use the public address.',
      );
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
export function notFound(table: RouteTable) {
  return function notFound(c: Context<GatewayEnvironment>): Response {
    const { path, method } = c.req;
    const allow = table.methods(path).join(', ');
    if (allow !== '')
      throw new Problem('method-not-allowed', `${path} takes ${allow}, not ${method}.`, { allow });
    const meant = table.meant(path);
    const hint = meant === undefined ? 'GET /docs describes what there is.' : `Did you mean ${meant}?`;
    throw new Problem(
      'unknown-route',
      `There is nothing at ${path.slice(0, 200)}. ${hint}`,
      meant === undefined ? {} : { nearest: meant },
    );
  };
}
