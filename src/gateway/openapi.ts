import { z } from 'zod';
import type { Operation } from './operation.ts';
import { ProblemResponseSchema } from './problem-response.ts';
import type { NamedSchema, Route } from './route.ts';
import { templateOf } from './route-table.ts';

export interface OpenApiDocument {
  readonly openapi: '3.1.0';
  readonly info: { readonly title: string; readonly version: string; readonly summary: string };
  readonly servers: readonly object[];
  readonly security: readonly object[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly securitySchemes: object;
    readonly schemas: Readonly<Record<string, object>>;
  };
}

/** The OpenAPI 3.1 document of a list of routes, from the schemas that requests are parsed with. */
export function openApiDocument(version: string, routes: readonly Route[]): OpenApiDocument {
  const paths: Record<string, Record<string, Operation>> = {};
  const schemas: Record<string, object> = {
    Problem: schemaOf({ schema: ProblemResponseSchema, io: 'output' }),
  };
  for (const { method, path, access, operation, schemas: named = {} } of routes) {
    if (!operation) continue;
    const address = templateOf(path);
    paths[address] = {
      ...paths[address],
      [method.toLowerCase()]: access === 'open' ? { ...operation, security: [{}] } : operation,
    };
    for (const [name, schema] of Object.entries(named)) schemas[name] = schemaOf(schema);
  }
  const info = {
    title: 'Concertina',
    version,
    summary: 'Image embeddings, with as much of the network as the budget allows.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  };
  const key = { type: 'http', scheme: 'bearer', description: 'concertina keys create' };
  return {
    openapi: '3.1.0',
    info,
    servers: [{ url: '/' }],
    security: [{}, { key: [] }],
    paths,
    components: { securitySchemes: { key }, schemas },
  };
}

function schemaOf({ schema, io }: NamedSchema): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, target: 'draft-2020-12' });
  return rest;
}
