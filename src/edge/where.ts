import { aimOf, type Budget, type Plan, plan } from '../budget/index.ts';
import { isProblem, type ProblemCode } from '../problem/index.ts';
import { boundsOf, type ServedModel, type Tier } from '../serving/index.ts';
import { needsNative } from '../vit/web/index.ts';
import { isElsewhere } from './elsewhere.ts';

/** Why a request goes to the native gateway. */
export type Reason = 'size' | 'model' | 'picture' | 'level' | 'latency' | 'load';

/** What is known of a request, and of this isolate. */
export interface Situation {
  /** Bytes of the body, and the most that are kept here. */
  readonly declared: number;
  readonly bodyBytes: number;
  /** Absent before the body has been read. */
  readonly work?: Work;
}

export interface Work {
  readonly model: ServedModel;
  readonly budget: Budget;
  readonly tier: Tier;
  readonly pictures: readonly Uint8Array[];
  /** Pixels of a picture that is decoded here. */
  readonly maxPixels: number;
  /** From the request's first byte to its body complete, and since then, ms. */
  readonly uploaded: number;
  readonly elapsed: number;
  /** What the scheduler would refuse the request with now; `undefined` if it would take it. */
  readonly refusal: ProblemCode | undefined;
}

/** What a loaded isolate says when a native one may have room. */
const ROOM_ELSEWHERE: ReadonlySet<ProblemCode> = new Set(['not-ready', 'overloaded', 'tier-saturated']);

/**
 * Where a request is answered: here, or the reason to send it on. An isolate answers what it can answer as well as the caller
 * asks. It sends on large bodies, models and levels that do not fit, pictures that it does not decode, latency targets that
 * WebAssembly cannot meet, and what it would refuse because of load. Pure: nothing has been done, and nothing is.
 */
export function where({ declared, bodyBytes, work }: Situation): 'here' | Reason {
  if (declared > bodyBytes) return 'size';
  if (!work) return 'here';
  const { model, pictures, maxPixels, refusal } = work;
  if (isElsewhere(model)) return 'model';
  if (pictures.some((picture) => needsNative(picture, maxPixels))) return 'picture';
  const reason = beyond(work);
  if (reason) return reason;
  return refusal && ROOM_ELSEWHERE.has(refusal) ? 'load' : 'here';
}

/** Whether the whole ladder would give more, or sooner. */
function beyond({ model, budget, tier, uploaded, elapsed }: Work): 'level' | 'latency' | undefined {
  const latency = budget.latency?.value ?? tier.latency;
  let best: Plan;
  try {
    best = plan(
      {
        ...budget,
        aim: aimOf(budget),
        ...(latency !== undefined && { latency: { value: latency, strict: false } }),
      },
      {
        ladder: model.ladder,
        precisions: model.precisions,
        loaded: model.ladder.length - 1,
        predict: (level, precision) => model.predict(level, precision),
        upper: (level, precision) => model.upper(level, precision),
        uploaded,
        elapsed,
        tier: boundsOf(tier, budget),
      },
    );
  } catch (error) {
    if (isProblem(error)) return undefined; // no level of the ladder satisfies it: the scheduler says why
    throw error;
  }
  if (best.level > (model.ceiling ?? best.level)) return 'level';
  return latency !== undefined && elapsed + best.predicted > latency ? 'latency' : undefined;
}
