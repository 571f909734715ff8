import type { Context } from 'hono';
import { Problem } from '../../problem/index.ts';
import type { GatewayEnvironment } from '../environment.ts';
import type { GatewayOptions } from '../options.ts';

/** `GET /livez`: the process answers. */
export function live(c: Context<GatewayEnvironment>): Response {
  return c.json({ status: 'live' });
}

/**
 * `GET /readyz`: true only after every engine worker has embedded something with every model, at a level that keeps the floor
 * of every tier served here. The rest may still be streaming in; `degraded` says that some of it cannot be loaded for now.
 */
export function ready({ registry, scheduler, tier }: GatewayOptions) {
  return function ready(c: Context<GatewayEnvironment>): Response {
    if (scheduler.draining)
      throw new Problem('draining', 'This gateway is shutting down.', { retryAfter: 1 });
    const tiers = Object.entries(scheduler.tiers).filter(([name]) => tier === undefined || name === tier);
    const stopped = registry.all().find((model) => model.stopped);
    const ready = registry.ready(tiers.map(([, limits]) => limits));
    if (!ready && stopped?.retry)
      throw new Problem(
        'loading-stopped',
        `"${stopped.name}" cannot be loaded beyond level ${stopped.loaded}, which is not enough for every tier: ${stopped.stopped?.code}. The log says more.`,
        stopped.retry,
      );
    if (!ready)
      throw new Problem('not-ready', 'The models are still being loaded. Try again in a moment.', {
        retryAfter: 1,
      });
    const models = registry.all().map((model) => ({
      id: model.name,
      digest: model.digest,
      loaded: model.loaded,
      levels: model.ladder.length,
      ...(model.stopped && { stopped: model.stopped.code }),
    }));
    const unavailable = [...registry.failures()].map(([id, { code }]) => ({ id, stopped: code }));
    const degraded = stopped !== undefined || unavailable.length > 0;
    return c.json({
      status: degraded ? 'degraded' : 'ready',
      models,
      ...(unavailable.length > 0 && { unavailable }),
    });
  };
}
