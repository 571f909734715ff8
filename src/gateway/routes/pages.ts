import { docsPage } from '../docs-page.ts';
import { type OpenApiDocument, openApiDocument } from '../openapi.ts';
import type { GatewayParts } from '../options.ts';
import type { Route } from '../route.ts';

/** The reference has its style inline and no script at all. */
const DOCS_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

/** `GET /metrics`, `/openapi.json` and `/docs`. @param all the list that the documents describe */
export function pages(all: () => readonly Route[]): readonly Route[] {
  const documents = new WeakMap<GatewayParts, OpenApiDocument>();
  // Made when somebody asks: a cold start does not wait for it.
  const document = (parts: GatewayParts) => {
    const made = documents.get(parts) ?? openApiDocument(parts.version, all());
    documents.set(parts, made);
    return made;
  };
  return [
    {
      method: 'GET',
      path: '/metrics',
      access: 'open',
      needs: 'nothing',
      operation: {
        operationId: 'metrics',
        summary: 'Prometheus metrics',
        responses: { 200: text('Text exposition') },
      },
      handler: ({ metrics, expose }) =>
        metrics &&
        (expose.includes('metrics') || undefined) &&
        async function metricsPage(c) {
          const { body, contentType } = await metrics();
          return c.body(body, 200, { 'Content-Type': contentType });
        },
    },
    {
      method: 'GET',
      path: '/openapi.json',
      access: 'open',
      needs: 'nothing',
      handler: (parts) => (parts.expose.includes('docs') ? (c) => c.json(document(parts)) : undefined),
    },
    {
      method: 'GET',
      path: '/docs',
      access: 'open',
      needs: 'nothing',
      handler: (parts) =>
        parts.expose.includes('docs')
          ? (c) => c.html(docsPage(document(parts)), 200, { 'Content-Security-Policy': DOCS_POLICY })
          : undefined,
    },
  ];
}

function text(description: string) {
  return { description, content: { 'text/plain': { schema: { type: 'string' } } } };
}
