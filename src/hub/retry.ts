import { setTimeout as sleep } from 'node:timers/promises';
import { isProblem, Problem } from '../problem/index.ts';
import type { HubSettings } from './settings.ts';

/** Attempts without any progress after which the hub is given up. */
const ATTEMPTS = 5;
/** A server may ask for patience, but not for more than this, ms. */
const LONGEST_WAIT = 60_000;

/** A failure that may pass: a broken connection, a server in trouble. */
export class Transient extends Error {
  /** Milliseconds after which the server wants to be asked again. */
  readonly after: number | undefined;

  constructor(message: string, after?: number, options?: ErrorOptions) {
    super(message, options);
    this.after = after;
  }
}

/**
 * Does `work` until it succeeds, with growing pauses. An attempt that got further than the one before starts the count anew.
 * @param progress a number that grows when an attempt gets further
 * @throws Problem('hub-unavailable') after the last attempt; problems and aborts at once
 */
export async function retrying<T>(
  settings: HubSettings,
  work: () => Promise<T>,
  progress: () => number = () => 0,
): Promise<T> {
  let failures = 0;
  let best = progress();
  for (;;) {
    try {
      return await work();
    } catch (error) {
      settings.signal?.throwIfAborted();
      if (isProblem(error)) throw error;
      failures = progress() > best ? 1 : failures + 1;
      best = Math.max(best, progress());
      const reason = error instanceof Error ? error.message : String(error);
      if (failures >= ATTEMPTS) throw unavailable(settings.endpoint, reason, error);
      const wait = (error instanceof Transient && error.after) || settings.retryDelay * 2 ** (failures - 1);
      await sleep(
        Math.min(wait, LONGEST_WAIT),
        undefined,
        settings.signal ? { signal: settings.signal } : {},
      );
    }
  }
}

function unavailable(endpoint: string, reason: string, cause: unknown): Problem {
  return new Problem(
    'hub-unavailable',
    `${endpoint} does not answer (${reason}). Check the connection, HTTPS_PROXY and HF_ENDPOINT; what has been downloaded is kept, and the next try goes on from there.`,
    { endpoint },
    { cause },
  );
}
