import type { Hono } from 'hono';
import type { LimitedBy } from '../budget/index.ts';
import type { ProblemCode } from '../problem/index.ts';
import type { ItemRecord } from './record.ts';

/** What a request carries through the application. */
export interface Variables {
  requestId: string;
  /** On the gateway's clock, ms. */
  arrived: number;
  tier: string;
  /** What is written down about the request when it has been answered. */
  notes: Notes;
}

export interface Notes {
  code?: ProblemCode;
  model?: string;
  items?: readonly ItemRecord[];
  receivedMs?: number;
  budgetMet?: boolean;
  limitedBy?: LimitedBy;
}

export type GatewayEnvironment = { Variables: Variables };
export type Gateway = Hono<GatewayEnvironment>;
