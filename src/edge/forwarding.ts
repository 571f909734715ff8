import { type Budget, type Plan, plan } from '../budget/index.ts';
import { isProblem, Problem, type ProblemCode } from '../problem/index.ts';
import { boundsOf, type EmbedAnswer, type EmbedRequest, Scheduler } from '../serving/index.ts';
import type { ImageDecoder } from '../vit/index.ts';
import { isElsewhere } from './elsewhere.ts';

/** Why a request goes to the native gateway. */
export type Reason = 'model' | 'picture' | 'level' | 'latency' | 'load';

/** A request that is to be sent on, as the scheduler saw it. */
export interface Forwarded {
  readonly reason: Reason;
  readonly budget: Budget;
  readonly tier: string;
  /** On the clock, ms: the deadline counts from the one, latency from the other. */
  readonly firstByte: number;
  readonly bodyComplete: number;
}

/** What a loaded isolate says when a native one may have room. */
const ROOM_ELSEWHERE: ReadonlySet<ProblemCode> = new Set(['not-ready', 'overloaded', 'tier-saturated']);

/** Stands for a picture that cannot be decoded here. */
const NOT_HERE = new Float32Array(0);

/**
 * Remembers by a request's signal that it is to be sent on. It is found out deep inside, where pictures are decoded and
 * levels are chosen, and acted upon outside, where the request still is as it came.
 */
export class Forwarding {
  readonly #wanted = new WeakMap<AbortSignal, Forwarded>();
  readonly #kept = new WeakSet<AbortSignal>();

  /** From now on the request is answered here whatever comes. */
  keep(signal: AbortSignal): void {
    this.#kept.add(signal);
  }

  mayLeave(signal: AbortSignal | undefined): signal is AbortSignal {
    return signal !== undefined && !this.#kept.has(signal);
  }

  /** @returns what ends the work on the request here */
  send(signal: AbortSignal, forwarded: Forwarded): Problem {
    this.#wanted.set(signal, forwarded);
    return new Problem('origin-unavailable', 'The native gateway was to answer this request.');
  }

  wanted(signal: AbortSignal): Forwarded | undefined {
    return this.#wanted.get(signal);
  }
}

/** Decodes what can be decoded here, and lets the rest pass as a picture to be sent on. */
export function forwardingDecoder(decoder: ImageDecoder, forwarding: Forwarding): ImageDecoder {
  return {
    // The native gateway reads these too.
    mediaTypes: [...decoder.mediaTypes, 'image/avif', 'image/gif', 'image/tiff'],
    async decode(image, config, options) {
      try {
        return await decoder.decode(image, config, options);
      } catch (error) {
        const native = isProblem(error, 'unsupported-media-type') || isProblem(error, 'too-many-pixels');
        if (native && forwarding.mayLeave(options?.signal)) return NOT_HERE;
        throw error;
      }
    },
  };
}

/**
 * Serves what the isolate can serve as well as the caller asks, and marks the rest for the native gateway: models and
 * levels that do not fit, latency targets that WebAssembly cannot meet, and what an overloaded isolate would refuse.
 */
export class ForwardingScheduler extends Scheduler {
  readonly #forwarding: Forwarding;
  readonly #now: () => number;

  constructor(
    forwarding: Forwarding,
    now: () => number,
    ...scheduler: ConstructorParameters<typeof Scheduler>
  ) {
    super(...scheduler);
    this.#forwarding = forwarding;
    this.#now = now;
  }

  override async embed(request: EmbedRequest): Promise<EmbedAnswer> {
    const { signal } = request;
    if (!this.#forwarding.mayLeave(signal)) return await super.embed(request);
    const reason = this.#reason(request);
    if (reason) throw this.#forwarding.send(signal, leaving(request, reason));
    try {
      return await super.embed(request);
    } catch (error) {
      if (isProblem(error) && ROOM_ELSEWHERE.has(error.code))
        throw this.#forwarding.send(signal, leaving(request, 'load'));
      throw error;
    }
  }

  #reason({ model, pixels, budget, tier, bodyComplete }: EmbedRequest): Reason | undefined {
    if (isElsewhere(model)) return 'model';
    if (pixels === NOT_HERE) return 'picture';
    const limits = this.tiers[tier];
    const latency = budget.latency?.value ?? limits?.latency;
    const elapsed = this.#now() - bodyComplete;
    let best: Plan;
    try {
      // What the request would get if the whole ladder were here.
      best = plan(
        latency === undefined ? budget : { ...budget, latency: { value: latency, strict: false } },
        {
          ladder: model.ladder,
          precisions: model.precisions,
          loaded: model.ladder.length - 1,
          predict: (level, precision) => model.predict(level, precision),
          upper: (level, precision) => model.upper(level, precision),
          elapsed,
          ...(limits && { tier: boundsOf(limits) }),
        },
      );
    } catch {
      return undefined; // no level of the ladder satisfies it: the scheduler says why
    }
    if (best.level > (model.ceiling ?? best.level)) return 'level';
    return latency !== undefined && elapsed + best.predicted > latency ? 'latency' : undefined;
  }
}

function leaving({ budget, tier, firstByte, bodyComplete }: EmbedRequest, reason: Reason): Forwarded {
  return { reason, budget, tier, firstByte, bodyComplete };
}
