import { z } from 'zod';
import { type Precision, PrecisionSchema } from '../checkpoint/index.ts';

/**
 * Weight of a new observation, of its own level and of the machine as a whole. What changes is mostly the machine: under load the
 * levels that run must not seem slower than those that nobody has tried since.
 */
const OWN_RATE = 0.03;
const MACHINE_RATE = 0.1;
/** An observation counts as at most this much slower or faster than expected: one hiccup is not a trend. */
const CLAMP = 2;
/** The quantile that {@link LatencyProfile.upper} follows, and its step in log space. */
const QUANTILE = 0.95;
const TAIL_STEP = 0.04;
/** Where the tail starts without measurements, and how far it may go: slower by 2 % to 200 %. */
const FIRST_TAIL = 1.2;
const [LEAST_TAIL, MOST_TAIL] = [1.02, 3];

const EntrySchema = z.strictObject({
  level: z.number().int().nonnegative(),
  precision: PrecisionSchema,
  batch: z.number().int().positive(),
  median: z.number().positive(),
  p95: z.number().positive(),
});
export type ProfileEntry = z.infer<typeof EntrySchema>;

/** As stored beside the checkpoint. */
export const StoredProfileSchema = z.strictObject({
  version: z.literal(1),
  /** The hardware, engine and settings it was measured on. */
  fingerprint: z.string(),
  entries: z.array(EntrySchema),
});
export type StoredProfile = z.infer<typeof StoredProfileSchema>;

/**
 * How long a level takes here: measured at warm-up, kept true by what requests take. Every prediction is the measured
 * median times two factors, one of the level and one of the machine, both exponentially weighted in log space. How far
 * requests scatter above it is followed by one more factor, the 95th percentile of measured over predicted: it moves by a
 * fixed step up for a request above it and by a nineteenth of that down for one below, so that no single hiccup counts.
 */
export class LatencyProfile {
  readonly #entries = new Map<string, ProfileEntry>();
  readonly #own = new Map<string, number>();
  #machine = 1;
  #tail = FIRST_TAIL;
  #observations = 0;

  constructor(entries: Iterable<ProfileEntry> = []) {
    const tails: number[] = [];
    for (const entry of entries) {
      this.#entries.set(key(entry.level, entry.precision, entry.batch), entry);
      tails.push(entry.p95 / entry.median);
    }
    const [middle] = tails.sort((a, b) => a - b).slice(Math.floor(tails.length / 2));
    if (middle !== undefined) this.#tail = bounded(middle, LEAST_TAIL, MOST_TAIL);
  }

  /** Requests that it has learnt from. */
  get observations(): number {
    return this.#observations;
  }

  /** Takes a measurement of warm-up: times of several runs, ms. */
  measure(level: number, precision: Precision, batch: number, times: readonly number[]): void {
    const sorted = [...times].sort((a, b) => a - b);
    const at = (quantile: number) =>
      sorted[Math.min(sorted.length - 1, Math.floor(quantile * sorted.length))] ?? 1;
    const id = key(level, precision, batch);
    this.#entries.set(id, {
      level,
      precision,
      batch,
      median: Math.max(at(0.5), 1e-3),
      p95: Math.max(at(0.95), 1e-3),
    });
    this.#own.delete(id);
  }

  has(level: number, precision: Precision, batch = 1): boolean {
    return this.#entries.has(key(level, precision, batch));
  }

  /** Expected time, ms; `undefined` where nothing has been measured. */
  predict(level: number, precision: Precision, batch = 1): number | undefined {
    const id = key(level, precision, batch);
    const entry = this.#entries.get(id);
    return entry && entry.median * this.#machine * (this.#own.get(id) ?? 1);
  }

  /** Time that 95 of 100 requests stay within, ms; `undefined` where nothing has been measured. */
  upper(level: number, precision: Precision, batch = 1): number | undefined {
    const expected = this.predict(level, precision, batch);
    return expected && expected * this.#tail;
  }

  /** A request of this level took `ms`. */
  observe(level: number, precision: Precision, batch: number, ms: number): void {
    const expected = this.predict(level, precision, batch);
    if (expected === undefined || !(ms > 0)) return;
    this.#observations++;
    const step = ms / expected > this.#tail ? QUANTILE : QUANTILE - 1;
    this.#tail = bounded(this.#tail * Math.exp(TAIL_STEP * step), LEAST_TAIL, MOST_TAIL);
    const ratio = bounded(ms / expected, 1 / CLAMP, CLAMP);
    const id = key(level, precision, batch);
    this.#own.set(id, (this.#own.get(id) ?? 1) * ratio ** OWN_RATE);
    this.#machine *= ratio ** MACHINE_RATE;
  }

  /** The present state, for the next start. */
  entries(): ProfileEntry[] {
    return [...this.#entries.values()].map((entry) => {
      const now = this.predict(entry.level, entry.precision, entry.batch) ?? entry.median;
      return {
        ...entry,
        median: now,
        p95: this.#observations > 0 ? this.#tail * now : (entry.p95 / entry.median) * now,
      };
    });
  }
}

const bounded = (value: number, least: number, most: number): number =>
  Math.min(most, Math.max(least, value));
const key = (level: number, precision: Precision, batch: number): string => `${level}/${precision}/${batch}`;
