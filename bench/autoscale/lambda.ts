/** Target tracking on `LambdaProvisionedConcurrencyUtilization`. */
export interface TargetTrackingOptions {
  /** Utilization aimed at, (0, 1]. */
  readonly target: number;
  /** Bounds at a time of the day, s: scheduled actions change the lower one. */
  readonly bounds: (at: number) => { readonly min: number; readonly max: number };
  /** s between two decreases (`ScaleInCooldown`). */
  readonly scaleInCooldown: number;
}

/** Minutes above the target before there is more, and below {@link LOW} of it before there is less. */
const OUT_MINUTES = 3;
const IN_MINUTES = 15;
const LOW = 0.9;

/**
 * Application Auto Scaling's target tracking for provisioned concurrency as documented: two alarms on the average of each minute, three
 * minutes above the target add capacity in proportion, fifteen below it take some away. Evaluated every minute by whoever
 * drives it.
 */
export class TargetTracking {
  readonly #options: TargetTrackingOptions;
  #high = 0;
  #low = 0;
  #lastIn = Number.NEGATIVE_INFINITY;

  constructor(options: TargetTrackingOptions) {
    this.#options = options;
  }

  /**
   * Environments that there should be.
   * @param utilization average of the last minute: busy provisioned environments over all
   */
  decide(now: number, utilization: number, current: number): number {
    const { target, bounds, scaleInCooldown } = this.#options;
    const { min, max } = bounds(now);
    this.#high = utilization > target ? this.#high + 1 : 0;
    this.#low = utilization < LOW * target ? this.#low + 1 : 0;
    let wanted = current;
    if (this.#high >= OUT_MINUTES) wanted = Math.ceil((current * utilization) / target);
    if (this.#low >= IN_MINUTES && now - this.#lastIn >= scaleInCooldown) {
      wanted = Math.ceil((current * utilization) / target);
      if (wanted < current) this.#lastIn = now;
    }
    return Math.min(max, Math.max(min, wanted));
  }
}
