import { type Budget, plan, type TierBounds } from '../../src/budget/index.ts';
import type { Ladder } from '../../src/checkpoint/index.ts';
import { isProblem } from '../../src/problem/index.ts';
import { createRandom } from '../../src/pruning/data/random.ts';
import type { Inputs } from './inputs.ts';

/** As the gateway's scheduler: the queue should drain within this many times the full network's own time. */
const DRAIN_FACTOR = 4;
/** Standard deviations from the median to the 95th percentile. */
const P95 = 1.645;

/** What callers of a tier ask for. */
export interface Wanted {
  readonly latency: number;
  readonly deadline: number;
}

/** What a replica is, and how it answers: an elastic checkpoint, or the full network alone. */
export class Deployment {
  readonly name: 'elastic' | 'fixed full';
  readonly #ladder: Ladder;
  readonly #levels: Inputs['levels'];
  readonly #bounds: TierBounds;
  readonly #budget: Budget;
  readonly #start: Inputs['coldStart']['elastic'];
  readonly #random;

  constructor(
    name: 'elastic' | 'fixed full',
    inputs: Inputs,
    { bounds, wanted, seed }: { bounds: TierBounds; wanted: Wanted; seed: number },
  ) {
    const elastic = name === 'elastic';
    this.name = name;
    this.#levels = elastic ? inputs.levels : inputs.levels.slice(-1);
    this.#start = elastic ? inputs.coldStart.elastic : inputs.coldStart.fixed;
    this.#ladder = this.#levels.map(({ share, fidelity, end }) => ({
      heads: [],
      channels: [],
      merge: [],
      flops: share * 1e9,
      share,
      params: 1,
      end,
      memory: 1,
      fidelity: { fp32: { mean: fidelity, p5: fidelity } },
      corrections: [],
    }));
    this.#bounds = elastic ? bounds : {};
    this.#budget = {
      latency: { value: wanted.latency, strict: false },
      deadline: { value: wanted.deadline, strict: false },
    };
    this.#random = createRandom(seed, `service ${name}`);
  }

  /** From the start of its process until it takes requests of the tier, s: its floor has been loaded. */
  get ready(): number {
    const { fidelity = 0, level = 0 } = this.#bounds.floor ?? {};
    const floor = this.#levels.findIndex((one, index) => index >= level && one.fidelity >= fidelity);
    return this.#loadedAt(Math.max(0, floor));
  }

  /** Time of the fastest level that the tier's floor allows, ms. */
  get floorMs(): number {
    const { fidelity = 0, level = 0 } = this.#bounds.floor ?? {};
    const allowed = this.#levels.filter((one, index) => index >= level && one.fidelity >= fidelity);
    return Math.min(...allowed.map(({ median }) => median));
  }

  /** s from the start of the process: levels come in the order of their bytes. */
  #loadedAt(level: number): number {
    const { first, all } = this.#start;
    const [start, end] = [this.#levels[0]?.end ?? 0, this.#levels.at(-1)?.end ?? 0];
    const share = end > start ? ((this.#levels[level]?.end ?? end) - start) / (end - start) : 1;
    return this.#levels.length === 1 ? first : first + share * (all - first);
  }

  /**
   * The level of a request by the gateway's own planner, and how long it takes.
   * @param running s for which the replica's process has been running
   * @param elapsed ms since the request arrived @param waited ms of it in the queue @param rounds rounds of requests that wait
   * @returns undefined where the answer would be worthless by then
   */
  serve(
    running: number,
    { elapsed, waited, rounds }: { elapsed: number; waited: number; rounds: number },
  ): { fidelity: number; seconds: number } | undefined {
    const levels = this.#levels;
    const full = levels.at(-1)?.median ?? 0;
    try {
      const chosen = plan(this.#budget, {
        ladder: this.#ladder,
        precisions: ['fp32'],
        loaded: levels.findLastIndex((_, level) => this.#loadedAt(level) <= running + 1e-9),
        predict: (level) => levels[level]?.median ?? full,
        upper: (level) => levels[level]?.p95 ?? full,
        elapsed,
        waited,
        ...(rounds > 1 ? { allowance: (DRAIN_FACTOR * full) / rounds } : {}),
        tier: this.#bounds,
      });
      if (elapsed + chosen.predicted > (this.#budget.deadline?.value ?? 0)) return undefined;
      const { median, p95 } = levels[chosen.level] ?? { median: full, p95: full };
      const noise = Math.exp((Math.log(p95 / median) / P95) * this.#random.normal());
      return { fidelity: chosen.fidelity, seconds: (median * noise) / 1000 };
    } catch (error) {
      if (isProblem(error)) return undefined;
      throw error;
    }
  }
}
