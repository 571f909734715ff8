import { median, spread } from './statistics.ts';

/** One line of the result. */
export interface Measurement {
  readonly model: string;
  readonly contestant: string;
  readonly level: string;
  readonly precision: string;
  readonly batch: number;
  readonly threads: number;
  readonly median_ms: number;
  /** Median over the rounds of the time over the peer's in the same round. */
  readonly ratio: number;
  /** Contestant and level that the ratio is to. */
  readonly peer: string;
  /** Distance between the quartiles of these ratios over their median; of the times where a contestant is its own peer. */
  readonly spread: number;
}

/** What is measured together. */
export interface Cell {
  readonly model: string;
  readonly batch: number;
  readonly threads: number;
}

export interface Contestant {
  readonly contestant: string;
  readonly level: string;
  readonly precision: string;
  /** Identifiers (see {@link id}) of contestants that it is compared with. */
  readonly peers: readonly string[];
  /** Does the work once. @returns milliseconds */
  readonly run: () => Promise<number>;
}

/** A contestant in words, unique in its cell. */
export function id({ contestant, level, precision }: Omit<Contestant, 'peers' | 'run'>): string {
  return `${contestant} ${precision}, ${level}`;
}

/** How often the contestants take turns: as often as fits into the time, within bounds. */
export interface Rounds {
  readonly seconds: number;
  readonly least: number;
  readonly most: number;
}

/** Runs every contestant once a round, so that what disturbs the machine disturbs them alike. */
export async function race(
  cell: Cell,
  contestants: readonly Contestant[],
  { seconds, least, most }: Rounds,
): Promise<Measurement[]> {
  const times = new Map(contestants.map((entry) => [id(entry), [] as number[]]));
  const of = (name: string) => times.get(name) ?? [];
  for (const { run } of contestants) await run();
  const began = performance.now();
  for (let round = 0; round < most; round++) {
    if (round >= least && performance.now() - began > 1000 * seconds) break;
    for (const entry of contestants) of(id(entry)).push(await entry.run());
  }
  return contestants.flatMap((entry) =>
    entry.peers.map((peer) => {
      const own = of(id(entry));
      const ratios = own.map((time, round) => time / (of(peer)[round] ?? Number.NaN));
      return {
        ...cell,
        contestant: entry.contestant,
        level: entry.level,
        precision: entry.precision,
        median_ms: median(own),
        ratio: median(ratios),
        peer,
        spread: spread(peer === id(entry) ? own : ratios),
      };
    }),
  );
}

/** Milliseconds that the work takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}
