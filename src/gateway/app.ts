import { Hono } from 'hono';
import { cors } from 'hono/cors';
import type { Problem } from '../problem/index.ts';
import { EXPOSED_HEADERS } from './answer-headers.ts';
import { docsPage } from './docs-page.ts';
import type { Gateway, GatewayEnvironment } from './environment.ts';
import { admit, notFound, observe, onError, varies } from './middleware.ts';
import { openApiDocument } from './openapi.ts';
import type { GatewayOptions } from './options.ts';
import { embed } from './routes/embed.ts';
import { embeddings } from './routes/embeddings.ts';
import { live, ready } from './routes/health.ts';
import { getModel, listModels } from './routes/models.ts';

/** What a browser may do with our pages: everything is our own, nothing is fetched from elsewhere. */
export const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const METHODS = new Map([
  ['/v1/embeddings', 'POST'],
  ['/v1/embed', 'POST'],
  ['/v1/models', 'GET'],
  ['/v1/models/:id', 'GET'],
  ['/livez', 'GET'],
  ['/readyz', 'GET'],
  ['/metrics', 'GET'],
  ['/openapi.json', 'GET'],
  ['/docs', 'GET'],
]);

/**
 * The application: the same on Node, Lambda and Workers.
 * @param onInternal told about failures that are not the caller's, with their cause
 */
export function createGateway(
  options: GatewayOptions,
  onInternal: (problem: Problem, requestId: string) => void = () => {},
): Gateway {
  const app = new Hono<GatewayEnvironment>();
  const routes = options.basePath ? app.basePath(options.basePath) : app;
  app.use(observe(options));
  app.use(
    cors({
      origin: '*',
      allowHeaders: [
        'Authorization',
        'Content-Type',
        'Compute-Budget',
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
  app.notFound(notFound(METHODS));

  routes.get('/livez', live);
  routes.get('/readyz', ready(options));
  for (const path of ['/v1/embeddings', '/v1/embed']) routes.use(path, varies);
  routes.use('/v1/*', admit(options));
  routes.post('/v1/embeddings', embeddings(options));
  routes.post('/v1/embed', embed(options));
  routes.get('/v1/models', listModels(options));
  routes.get('/v1/models/:id', getModel(options));

  const { metrics, assets } = options;
  if (metrics) {
    routes.get('/metrics', async (c) => {
      const { body, contentType } = await metrics();
      return c.body(body, 200, { 'Content-Type': contentType });
    });
  }
  // Made when somebody asks: a cold start does not wait for it.
  let made: ReturnType<typeof openApiDocument> | undefined;
  const document = () => {
    made ??= openApiDocument(options.version);
    return made;
  };
  routes.get('/openapi.json', (c) => c.json(document()));
  routes.get('/docs', (c) => c.html(docsPage(document()), 200, { 'Content-Security-Policy': DOCS_POLICY }));
  if (assets) {
    routes.get('*', async (c, next) => {
      const asset = await assets(c.req.path.slice(options.basePath?.length ?? 0));
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

/** The reference has its style inline and no script at all. */
const DOCS_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
