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
 * of every tier served here. The rest may still be streaming in.
 */
export function ready({ registry, scheduler, tier }: GatewayOptions) {
  return function ready(c: Context<GatewayEnvironment>): Response {
    if (scheduler.draining)
      throw new Problem('draining', 'This gateway is shutting down.', { retryAfter: 1 });
    const tiers = Object.entries(scheduler.tiers).filter(([name]) => tier === undefined || name === tier);
    if (!registry.ready(tiers.map(([, limits]) => limits)))
      throw new Problem('not-ready', 'The models are still being loaded. Try again in a moment.', {
        retryAfter: 1,
      });
    const models = registry.all().map((model) => ({
      id: model.name,
      digest: model.digest,
      loaded: model.loaded,
      levels: model.ladder.length,
    }));
    return c.json({ status: 'ready', models });
  };
}
