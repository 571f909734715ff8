import type { LimitedBy } from '../budget/index.ts';
import type { Precision } from '../checkpoint/index.ts';
import type { ProblemCode } from '../problem/index.ts';

/** One request as logs and metrics see it. Holds neither image data nor keys. */
export interface RequestRecord {
  readonly event: 'request';
  readonly requestId: string;
  readonly method: string;
  /** The route's pattern (`/v1/models/:id`), so that it is a bounded label. */
  readonly route: string;
  readonly status: number;
  /** Code of the problem, if there was one. */
  readonly code?: ProblemCode | undefined;
  readonly tier?: string | undefined;
  readonly model?: string | undefined;
  /** From the first byte read to the answer made, ms. */
  readonly durationMs: number;
  /** From the first byte read to the body complete, ms; absent where no body was read to its end. */
  readonly receivedMs?: number | undefined;
  /** Of the request's trace, where traces are made. */
  readonly traceId?: string | undefined;
  readonly items: readonly ItemRecord[];
  /** Whether the latency target was met; absent without one. */
  readonly budgetMet?: boolean | undefined;
  /** Why somebody else answered it, and the code of the problem if that was the answer. */
  readonly forwarded?: string | undefined;
  readonly forwardedCode?: string | undefined;
  /** What held the least faithful image back. */
  readonly limitedBy?: LimitedBy | undefined;
}

/** One image of a request. */
export interface ItemRecord {
  readonly level: number;
  readonly precision: Precision;
  readonly flops: number;
  /** FLOPs of the level that was run, in units of 1e9. */
  readonly gflops: number;
  readonly fidelity: number;
  readonly limitedBy: LimitedBy;
  /** Expected when it was dispatched, and measured, ms. */
  readonly predicted: number;
  /** From the request's first byte to the beginning of this image's first phase, ms; the phases follow without gaps. */
  readonly beganMs: number;
  readonly inferMs: number;
  /** Waiting, for images of the same request too. */
  readonly queueMs: number;
  /** All of it, but without what it waited for images of the same request: what a latency target is compared with. */
  readonly ownMs: number;
  readonly decodeMs: number;
  readonly fetchMs: number;
}
