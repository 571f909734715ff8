import { createRandom } from '../../src/pruning/data/random.ts';

/** How a tier's traffic runs over a day. */
export interface Traffic {
  /** Requests per second at the day's peak. */
  readonly peak: number;
  /** Rate at night over that at the peak. */
  readonly night: number;
  /** Hour of the peak. */
  readonly peakHour: number;
  readonly bursts: readonly Burst[];
}

export interface Burst {
  /** Hour at which it begins. */
  readonly hour: number;
  readonly minutes: number;
  /** Times the rate that there would be. */
  readonly factor: number;
}

export const DAY_SECONDS = 86_400;

/** Requests per second at a time of the day, s: a cosine over 24 hours, times the bursts. */
export function rateAt({ peak, night, peakHour, bursts }: Traffic, at: number): number {
  const phase = (2 * Math.PI * (at / 3600 - peakHour)) / 24;
  const share = night + (1 - night) * (0.5 + 0.5 * Math.cos(phase));
  const burst = bursts.find(({ hour, minutes }) => at >= hour * 3600 && at < hour * 3600 + minutes * 60);
  return peak * share * (burst?.factor ?? 1);
}

/** Arrival times of a day, s, ascending: a Poisson process with that rate, by thinning. */
export function arrivals(traffic: Traffic, seed: number, seconds = DAY_SECONDS): Float64Array {
  const random = createRandom(seed, 'arrivals');
  const most = traffic.peak * Math.max(1, ...traffic.bursts.map(({ factor }) => factor));
  const times: number[] = [];
  for (let at = 0; ; ) {
    at += -Math.log(1 - random.uniform()) / most;
    if (at >= seconds) return Float64Array.from(times);
    if (random.uniform() * most < rateAt(traffic, at)) times.push(at);
  }
}
