/** Settings of the HorizontalPodAutoscaler that KEDA makes; the defaults are Kubernetes'. */
export interface KedaOptions {
  /** Of the metric per pod (`AverageValue`). */
  readonly threshold: number;
  readonly min: number;
  readonly max: number;
  /** @default 0.1 */
  readonly tolerance?: number;
  /** s: the highest recommendation within it counts when pods are taken away. @default 300 */
  readonly stabilization?: number;
  /** More pods at a time: so many, or so many times the present ones, whichever is more. @default 4 and 1 */
  readonly podsPerStep?: number;
  readonly sharePerStep?: number;
}

/**
 * KEDA on a metric with `AverageValue`: Kubernetes' HorizontalPodAutoscaler, `ceil(metric / threshold)`, unless the metric per pod is
 * within the tolerance; scaling up by at most four pods or by 100 % every 15 seconds, down when no recommendation of the last five
 * minutes was higher. Evaluated every 15 seconds by whoever drives it.
 */
export class KedaAutoscaler {
  readonly #options: Required<KedaOptions>;
  readonly #recommended: { readonly at: number; readonly pods: number }[] = [];

  constructor(options: KedaOptions) {
    this.#options = { tolerance: 0.1, stabilization: 300, podsPerStep: 4, sharePerStep: 1, ...options };
  }

  /** Pods that there should be. @param metric the sum over all pods @param current pods that there are, ready or not */
  decide(now: number, metric: number, current: number): number {
    const { threshold, min, max, tolerance, stabilization, podsPerStep, sharePerStep } = this.#options;
    const ratio = metric / (threshold * current);
    const raw = Math.abs(ratio - 1) <= tolerance ? current : Math.ceil(metric / threshold);
    const recommended = Math.min(max, Math.max(min, raw));
    this.#recommended.push({ at: now, pods: recommended });
    while ((this.#recommended[0]?.at ?? now) < now - stabilization) this.#recommended.shift();
    if (recommended > current) {
      const most = Math.max(current + podsPerStep, Math.ceil(current * (1 + sharePerStep)));
      return Math.min(recommended, most);
    }
    const highest = Math.max(...this.#recommended.map(({ pods }) => pods));
    return Math.min(current, highest);
  }
}
