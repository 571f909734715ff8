import type { Context } from 'hono';
import type { z } from 'zod';
import type { GatewayEnvironment } from './environment.ts';
import type { Operation } from './operation.ts';
import type { GatewayParts } from './options.ts';
import type { ProblemShape } from './problem-response.ts';

export type Handler = (c: Context<GatewayEnvironment>) => Response | Promise<Response>;

/**
 * One address of the gateway. Everything that knows addresses reads the list of these (`routes.ts`): the application, 404
 * and 405, labels of logs and metrics, the OpenAPI document, and what a Worker sends on.
 */
export interface Route {
  readonly method: 'GET' | 'POST';
  /** Below the base path, in Hono's form: `/v1/models/:id`. */
  readonly path: string;
  /** `keyed` routes ask for the caller's key and take one request from its rate. */
  readonly access: 'open' | 'keyed';
  /** Asked of the process itself: answered with the base path, which is a proxy's, and without. */
  readonly probe?: boolean;
  /** What it cannot do without: nothing, some model, or a budget for images that are embedded. */
  readonly needs: 'nothing' | 'models' | 'budget';
  /** How it is described; routes without it are not part of the documented interface. */
  readonly operation?: Operation;
  /** Schemas that the description refers to, by name. */
  readonly schemas?: Readonly<Record<string, NamedSchema>>;
  /** The form of its problems. @default RFC 9457, with OpenAI's `error` object */
  readonly problem?: ProblemShape;
  /** @returns `undefined` where this gateway does not offer it */
  handler(parts: GatewayParts): Handler | undefined;
}

export interface NamedSchema {
  readonly schema: z.ZodType;
  readonly io: 'input' | 'output';
}
