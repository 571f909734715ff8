import type { Hono } from 'hono';
import type { LimitedBy } from '../budget/index.ts';
import type { ProblemCode } from '../problem/index.ts';
import type { ProblemShape } from './problem-response.ts';
import type { ItemRecord } from './record.ts';

/** What a request carries through the application. */
export interface Variables {
  requestId: string;
  /** When the first byte of it was seen, on the gateway's clock, ms. */
  firstByte: number;
  /** The form of its problems; problem details if absent. */
  problemShape: ProblemShape | undefined;
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
  forwarded?: string;
  forwardedCode?: string | undefined;
  limitedBy?: LimitedBy;
}

export type GatewayEnvironment = { Variables: Variables };
export type Gateway = Hono<GatewayEnvironment>;
