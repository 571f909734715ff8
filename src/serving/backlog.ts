/** Arithmetic of a queue: how long what comes next will wait, and how much it may take without making others late. */

/** An image that waits. */
export interface Job {
  /** When its answer should be out, ms on the clock; infinite without a time term. */
  readonly due: number;
  /** From when its target counts, ms on the clock. */
  readonly bodyComplete: number;
  /** What it takes at the least, decoding included, ms of one worker. */
  readonly work: number;
}

export interface TierBacklog {
  readonly weight: number;
  /** Work that goes before the request, if it is of this tier, ms of one worker; else all that waits. */
  readonly work: number;
}

/**
 * Time until a worker begins with a request, if everybody takes the least. Tiers share the workers by weight, as in weighted fair
 * queueing (Demers, Keshav, Shenker 1989): while the work of the request's own tier is done, another tier gets its share, and no more
 * than it has.
 * @param own of the request's tier: what goes before it
 * @param others of every other tier
 * @param remaining what running requests still take, ms of all workers together
 */
export function expectedWait(
  own: TierBacklog,
  others: readonly TierBacklog[],
  {
    workers,
    remaining,
    least,
  }: { readonly workers: number; readonly remaining: number; readonly least: number },
): number {
  const mine = own.work + least;
  const theirs = others.reduce(
    (sum, { work, weight }) => sum + Math.min(work, (mine * weight) / own.weight),
    0,
  );
  return (remaining + own.work + theirs) / workers;
}

/**
 * Of its target a queued request should have waited so much at most, when its turn comes: a queue that is let grow to the whole target
 * makes every prediction that is a little short an answer that is late.
 */
const AIM = 0.5;

/**
 * Engine time that one request may take beyond the least, so that all who wait can still have the least in good time: the
 * slack of the tightest, shared by those who run before it. Slack as the measure of what a request may get is SuperServe's (Khare et
 * al., NSDI 2025).
 * @returns ms; infinite where nobody waits who is ever due, negative where somebody will be late whatever is done
 */
export function sharedSlack(waiting: readonly Job[], now: number, workers: number): number {
  const timed = waiting.filter(({ due }) => due < Number.POSITIVE_INFINITY).sort((a, b) => a.due - b.due);
  let [before, least] = [0, Number.POSITIVE_INFINITY];
  for (const [index, { due, bodyComplete, work }] of timed.entries()) {
    before += work;
    const aim = bodyComplete + AIM * (due - bodyComplete);
    least = Math.min(least, ((aim - now) * workers - before) / (index + 2));
  }
  return least;
}
