import { Hono } from 'hono';
import { cors } from 'hono/cors';
import type { Problem } from '../problem/index.ts';
import { EXPOSED_HEADERS } from './answer-headers.ts';
import type { Gateway, GatewayEnvironment } from './environment.ts';
import { admit, fromOrigin, notFound, observe, onError, varies } from './middleware.ts';
import { type GatewayOptions, resolveOptions } from './options.ts';
import { addresses, routeTable } from './route-table.ts';
import { ROUTES } from './routes.ts';

/** What a browser may do with our pages: everything is our own, nothing is fetched from elsewhere. */
export const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/**
 * The application: the same on Node, Lambda and Workers.
 * @param onInternal told about failures that are not the caller's, with their cause
 */
export function createGateway(
  options: GatewayOptions,
  onInternal: (problem: Problem, requestId: string) => void = () => {},
): Gateway {
  const parts = resolveOptions(options);
  const { basePath = '', assets, expose, originSecret } = parts;
  const app = new Hono<GatewayEnvironment>();
  const offered = ROUTES.flatMap((route) => {
    const handler = route.handler(parts);
    return handler ? [{ route, handler }] : [];
  });
  const table = routeTable(
    offered.map(({ route }) => route),
    basePath,
  );
  app.use(observe(parts, table));
  app.use(
    cors({
      origin: '*',
      allowHeaders: [
        'Authorization',
        'Content-Type',
        'Compute-Budget',
        'X-Compute-Budget',
        'X-Request-Id',
        'X-Api-Key',
        'traceparent',
        'tracestate',
      ],
      exposeHeaders: EXPOSED_HEADERS,
      maxAge: 86_400,
    }),
  );
  app.onError(onError(onInternal));
  app.notFound(notFound(table));

  const admitted = admit(parts);
  for (const { route, handler } of offered) {
    const { method, needs, access } = route;
    for (const path of addresses(route, basePath)) {
      if (needs === 'budget') app.on(method, path, varies);
      if (access === 'keyed' && originSecret !== undefined) app.on(method, path, fromOrigin(originSecret));
      if (access === 'keyed') app.on(method, path, admitted);
      app.on(method, path, handler);
    }
  }
  if (assets && expose.includes('playground')) {
    app.get(`${basePath}/*`, async (c, next) => {
      const asset = await assets(c.req.path.slice(basePath.length));
      if (!asset) return await next();
      return c.body(asset.body, 200, {
        'Content-Type': asset.contentType,
        'Content-Security-Policy': PAGE_POLICY,
        'X-Content-Type-Options': 'nosniff',
        'Referrer-Policy': 'no-referrer',
        'Cache-Control': 'no-cache',
      });
    });
  }
  return app;
}
