/** Settings of Knative's autoscaler; the defaults are those of `config-autoscaler`. */
export interface KnativeOptions {
  /** Requests in work per pod (`autoscaling.knative.dev/target`). */
  readonly target: number;
  readonly min: number;
  readonly max: number;
  /** Share of the target that is aimed at. @default 0.7 */
  readonly utilization?: number;
  /** s. @default 60 */
  readonly stableWindow?: number;
  /** Share of the stable window. @default 0.1 */
  readonly panicWindow?: number;
  /** Desired over ready pods from which on it panics. @default 2 */
  readonly panicThreshold?: number;
  /** @default 1000 */
  readonly maxScaleUp?: number;
  /** @default 2 */
  readonly maxScaleDown?: number;
  /** A decrease waits so long, s (`scale-down-delay`). @default 0 */
  readonly scaleDownDelay?: number;
}

/**
 * Knative's pod autoscaler (KPA) on concurrency, as its documentation and source describe it: the average over the stable
 * window decides, over the panic window (never down) once that asks for twice the ready pods, until it has not for a
 * stable window. Evaluated every two seconds by whoever drives it.
 */
export class KnativeAutoscaler {
  readonly #options: Required<KnativeOptions>;
  /** Average concurrency of whole seconds. */
  readonly #seen: { readonly at: number; readonly value: number }[] = [];
  readonly #decisions: { readonly at: number; readonly pods: number }[] = [];
  #panicSince: number | undefined;
  #panicPods = 0;

  constructor(options: KnativeOptions) {
    this.#options = {
      utilization: 0.7,
      stableWindow: 60,
      panicWindow: 0.1,
      panicThreshold: 2,
      maxScaleUp: 1000,
      maxScaleDown: 2,
      scaleDownDelay: 0,
      ...options,
    };
  }

  get panicking(): boolean {
    return this.#panicSince !== undefined;
  }

  /** Requests in work, on pods and waiting for one, on average during the second that ends at `at`. */
  observe(at: number, concurrency: number): void {
    this.#seen.push({ at, value: concurrency });
    while ((this.#seen[0]?.at ?? at) <= at - this.#options.stableWindow) this.#seen.shift();
  }

  /** Pods that there should be. @param ready pods that take requests */
  decide(now: number, ready: number): number {
    const { target, utilization, stableWindow, panicWindow, panicThreshold } = this.#options;
    const { min, max, maxScaleUp, maxScaleDown, scaleDownDelay } = this.#options;
    const pods = Math.max(1, ready);
    const [most, least] = [Math.ceil(maxScaleUp * pods), Math.floor(pods / maxScaleDown)];
    const wanted = (window: number) => Math.ceil(this.#average(now, window) / (target * utilization));
    const within = (count: number) => Math.min(Math.max(count, least), most);
    const [stable, panic] = [wanted(stableWindow), wanted(stableWindow * panicWindow)];
    const over = panic / pods >= panicThreshold;
    if (over) this.#panicSince = now;
    else if (this.#panicSince !== undefined && now - this.#panicSince > stableWindow) {
      this.#panicSince = undefined;
      this.#panicPods = 0;
    }
    let desired = within(stable);
    if (this.#panicSince !== undefined) {
      this.#panicPods = Math.max(this.#panicPods, within(panic), desired);
      desired = this.#panicPods;
    }
    this.#decisions.push({ at: now, pods: desired });
    while ((this.#decisions[0]?.at ?? now) < now - scaleDownDelay) this.#decisions.shift();
    const held = Math.max(...this.#decisions.map((decision) => decision.pods));
    return Math.min(max, Math.max(min, held));
  }

  #average(now: number, window: number): number {
    const inside = this.#seen.filter(({ at }) => at > now - window);
    return inside.reduce((sum, { value }) => sum + value, 0) / Math.max(1, inside.length);
  }
}
