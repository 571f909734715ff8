import { quantile } from '../common/statistics.ts';
import { DAY_SECONDS } from './trace.ts';

/** s of one point of the plots. */
export const POINT_SECONDS = 300;

/** What became of a day's requests. */
export class Outcome {
  readonly #latencies: number[] = [];
  readonly #points: { latencies: number[]; replicas: number[] }[];
  #fidelity = 0;
  #inTime = 0;
  shed = 0;
  /** USD. */
  cost = 0;
  readonly #latencyTarget: number;

  /** @param latencyTarget ms */
  constructor(latencyTarget: number) {
    this.#latencyTarget = latencyTarget;
    this.#points = Array.from({ length: DAY_SECONDS / POINT_SECONDS }, () => ({
      latencies: [],
      replicas: [],
    }));
  }

  /** A request that arrived at `at` s and was answered after so many s. */
  answered(at: number, seconds: number, fidelity: number): void {
    this.#latencies.push(seconds * 1000);
    this.#fidelity += fidelity;
    if (seconds * 1000 <= this.#latencyTarget) this.#inTime++;
    this.#point(at)?.latencies.push(seconds * 1000);
  }

  /** How many replicas there were at a time. */
  sample(at: number, replicas: number): void {
    this.#point(at)?.replicas.push(replicas);
  }

  #point(at: number) {
    return this.#points[Math.floor(at / POINT_SECONDS)];
  }

  get summary() {
    const answers = this.#latencies.length;
    const requests = answers + this.shed;
    const replicas = this.#points.flatMap((point) => point.replicas);
    return {
      requests,
      shed: this.shed / requests,
      inTime: this.#inTime / requests,
      p50: quantile(this.#latencies, 0.5),
      p99: quantile(this.#latencies, 0.99),
      fidelity: this.#fidelity / answers,
      replicas: replicas.reduce((sum, count) => sum + count, 0) / replicas.length,
      most: replicas.reduce((most, count) => Math.max(most, count), 0),
      cost: this.cost,
      perMillion: (this.cost / answers) * 1e6,
    };
  }

  /** Hour, mean replicas and 99th percentile of the latency, ms, of each point. */
  get course(): { hour: number; replicas: number; p99: number }[] {
    return this.#points.map(({ latencies, replicas }, index) => ({
      hour: (index * POINT_SECONDS) / 3600,
      replicas: replicas.reduce((sum, count) => sum + count, 0) / Math.max(1, replicas.length),
      p99: latencies.length > 0 ? quantile(latencies, 0.99) : 0,
    }));
  }
}
