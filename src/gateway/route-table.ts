import { TrieRouter } from 'hono/router/trie-router';
import type { Route } from './route.ts';

/** A parameter of a pattern: `:model`, or `:model{[^/:]+:predict}` with words behind it. */
const PARAMETER = /:(\w+)(?:\{\[\^\/:\]\+(:\w+)\})?/g;

/** A pattern as OpenAPI writes it: `/v1/models/{model}:predict`. */
export const templateOf = (path: string): string =>
  path.replace(PARAMETER, (_, name, words = '') => `{${name}}${words}`);

/** An address that a pattern matches. @param value of its parameters */
export const exampleOf = (path: string, value = 'tiny'): string =>
  path.replace(PARAMETER, (_, _name, words = '') => `${value}${words}`);

/** The routes of a list by address. */
export interface RouteTable {
  /** The route of a request; HEAD asks for what GET gives. */
  find(method: string, path: string): Route | undefined;
  /** Pattern of a request's path, whatever its method, for logs and metrics: there is a bounded number of them. */
  pattern(method: string, path: string): string | undefined;
  /** Methods that a path takes; none where there is nothing. */
  methods(path: string): readonly string[];
  /** The route's address that a mistaken path ends with, for instance `/v1/embeddings` of `/v1/v1/embeddings`. */
  meant(path: string): string | undefined;
}

/** @param basePath in front of every path of the list */
export function routeTable(routes: readonly Route[], basePath = ''): RouteTable {
  const router = new TrieRouter<Route>();
  for (const route of routes) for (const path of addresses(route, basePath)) router.add('ALL', path, route);
  const at = (path: string) => router.match('ALL', path)[0].map(([route]) => route);
  const find = (method: string, path: string) =>
    at(path).find((route) => route.method === (method === 'HEAD' ? 'GET' : method));
  return {
    find,
    pattern: (method, path) => (find(method, path) ?? at(path)[0])?.path,
    methods: (path) => [...new Set(at(path).map(({ method }) => method))],
    meant(path) {
      const parts = path.split('/').slice(1);
      return parts
        .map((_, first) => `${basePath}/${parts.slice(first).join('/')}`)
        .find((suffix) => suffix !== path && at(suffix).length > 0);
    },
  };
}

/** Where a route is answered. */
export function addresses({ path, probe }: Route, basePath: string): readonly string[] {
  return probe && basePath !== '' ? [basePath + path, path] : [basePath + path];
}
