import type { Elsewhere, GatewayLog, Seen } from '../gateway/index.ts';
import { isProblem } from '../problem/index.ts';
import type { Clock, Scheduler } from '../serving/index.ts';
import type { Origin } from './origin.ts';
import type { EdgeSettings } from './settings.ts';
import { type Work, where } from './where.ts';

export interface SendingOptions {
  readonly origin: Origin;
  readonly scheduler: Scheduler;
  readonly settings: EdgeSettings;
  readonly clock: Clock;
  readonly log: GatewayLog;
}

/** The native gateway behind a Worker, for the requests that are better answered there. */
export function sending({ origin, scheduler, settings, clock, log }: SendingOptions): Elsewhere {
  const workOf = ({ read, tier: name, firstByte }: Seen): Work | undefined => {
    const tier = scheduler.tiers[name];
    if (!read || !tier) return undefined;
    const { model, budget, pictures, bodyComplete } = read;
    const request = { model, budget, tier: name, firstByte, bodyComplete };
    return {
      model,
      budget,
      tier,
      pictures,
      maxPixels: settings.pixels,
      uploaded: bodyComplete - firstByte,
      elapsed: clock.now() - bodyComplete,
      refusal: scheduler.refusal(request)?.code,
    };
  };
  return {
    where(seen) {
      const work = workOf(seen);
      return where({ declared: seen.declared, bodyBytes: settings.bodyBytes, ...(work && { work }) });
    },
    async send(request, seen, reason, requestId) {
      try {
        return await origin.send(request, seen, requestId);
      } catch (error) {
        const answerable = reason === 'level' || reason === 'latency';
        if (!answerable || !isProblem(error, 'origin-unavailable')) throw error;
        log.note(`${requestId}: the native gateway does not answer; what there is here is given.`);
        return undefined;
      }
    },
  };
}
