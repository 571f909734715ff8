import type { Plan } from '../budget/index.ts';
import type { EmbedOptions } from '../engine/index.ts';
import { isProblem } from '../problem/index.ts';
import type { Clock } from './clock.ts';
import type { ServedModel } from './served-model.ts';

/** A worker hangs when it takes so many times longer than expected, and longer than the least time below. */
const HANG_FACTOR = 20;
/** @see HANG_FACTOR */
export const HANG_MS = 10_000;

export interface Attempt {
  readonly pixels: Float32Array;
  readonly plan: Plan;
  /** Least time after which a worker counts as hung, ms. */
  readonly hangMs: number;
  /** Whether an answer would still be worth something. */
  readonly wanted: () => boolean;
  /** Told before the second attempt. */
  readonly retried: () => void;
}

/**
 * Runs an image. When the worker that had it dies or hangs, the engine replaces it, and the image is run once more.
 * @returns the embedding, and how long the attempt that gave it took, ms
 * @throws Problem('engine-failed') when the second attempt fails too, or nobody waits for it any more
 */
export async function embedOnceMore(
  { engine }: ServedModel,
  clock: Clock,
  { pixels, plan, hangMs, wanted, retried }: Attempt,
): Promise<{ embedding: Float32Array; ms: number }> {
  const { level, precision, predicted } = plan;
  const options: EmbedOptions = { level, precision, timeoutMs: Math.max(hangMs, HANG_FACTOR * predicted) };
  const attempt = async () => {
    const began = clock.now();
    const embedding = await engine.embed(pixels, 1, options);
    return { embedding, ms: clock.now() - began };
  };
  try {
    return await attempt();
  } catch (error) {
    if (!isProblem(error, 'engine-failed') || !wanted()) throw error;
    retried();
    return await attempt();
  }
}
