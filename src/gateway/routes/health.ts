import type { Context } from 'hono';
import { Problem } from '../../problem/index.ts';
import type { GatewayEnvironment } from '../environment.ts';
import { jsonAnswer, problemResponses } from '../operation.ts';
import type { GatewayParts } from '../options.ts';
import type { Route } from '../route.ts';

/** `GET /livez`: the process answers. */
const live: Route = {
  method: 'GET',
  path: '/livez',
  probe: true,
  access: 'open',
  needs: 'nothing',
  operation: {
    operationId: 'live',
    summary: 'Whether the process answers',
    responses: { 200: jsonAnswer('Yes', { type: 'object' }) },
  },
  handler: () => (c) => c.json({ status: 'live' }),
};

/**
 * `GET /readyz`: true only after every engine worker has embedded something with every model, at a level that keeps the floor
 * of every tier served here. The rest may still be streaming in; `degraded` says that some of it cannot be loaded for now.
 */
const ready: Route = {
  method: 'GET',
  path: '/readyz',
  probe: true,
  access: 'open',
  needs: 'models',
  operation: {
    operationId: 'ready',
    summary: 'Whether every worker has embedded an image',
    responses: {
      200: jsonAnswer('Yes', { type: 'object' }),
      ...problemResponses(['not-ready', 'loading-stopped', 'draining']),
    },
  },
  handler: (parts) =>
    function ready(c: Context<GatewayEnvironment>): Response {
      checkReady(parts);
      const { registry } = parts;
      const models = registry.all().map((model) => ({
        id: model.name,
        digest: model.digest,
        loaded: model.loaded,
        levels: model.ladder.length,
        ...(model.stopped && { stopped: model.stopped.code }),
      }));
      const unavailable = [...registry.failures()].map(([id, { code }]) => ({ id, stopped: code }));
      const degraded = models.some(({ stopped }) => stopped !== undefined) || unavailable.length > 0;
      return c.json({
        status: degraded ? 'degraded' : 'ready',
        models,
        ...(unavailable.length > 0 && { unavailable }),
      });
    },
};

export const health: readonly Route[] = [live, ready];

/** @throws Problem('draining'), ('not-ready'), ('loading-stopped') */
export function checkReady({ registry, scheduler, tier }: GatewayParts): void {
  if (scheduler.draining) throw new Problem('draining', 'This gateway is shutting down.', { retryAfter: 1 });
  const tiers = Object.entries(scheduler.tiers).filter(([name]) => tier === undefined || name === tier);
  if (registry.ready(tiers.map(([, limits]) => limits))) return;
  const stopped = registry.all().find((model) => model.stopped);
  if (stopped?.retry)
    throw new Problem(
      'loading-stopped',
      `"${stopped.name}" cannot be loaded beyond level ${stopped.loaded}, which is not enough for every tier: ${stopped.stopped?.code}. The log says more.`,
      stopped.retry,
    );
  throw new Problem('not-ready', 'The models are still being loaded. Try again in a moment.', {
    retryAfter: 1,
  });
}
