/** Limits of a traffic tier. */
export interface TierBounds {
  readonly floor?: { readonly level?: number; readonly fidelity?: number };
  readonly ceiling?: { readonly level?: number; readonly flops?: number; readonly fidelity?: number };
}

/** What a tier looks at: a level in one precision. */
interface Rung {
  readonly level: number;
  readonly flops: number;
  readonly fidelity: number;
}

type Test = (rung: Rung) => boolean;

/**
 * Whether a cost is within a limit. A limit of at most three digits is compared with the cost as it is printed, in three: what
 * the ladder says and is sent back finds its level again. A limit with more digits is taken at its word.
 */
export function within(cost: number, limit: number): boolean {
  return cost <= limit || (threeDigits(limit) === limit && threeDigits(cost) <= limit);
}

const threeDigits = (value: number): number => Number(value.toFixed(3));

/**
 * The tests of a tier's ceilings. Whatever a fidelity ceiling says, the least faithful rung is below it: a tier gets
 * something of every ladder.
 */
export function ceilingsOf(ceiling: TierBounds['ceiling'], all: readonly Rung[]): Test[] {
  const { level, flops, fidelity } = ceiling ?? {};
  const tests: Test[] = [];
  if (level !== undefined) tests.push((rung) => rung.level <= level);
  if (flops !== undefined) tests.push((rung) => within(rung.flops, flops));
  if (fidelity !== undefined) {
    const most = Math.max(fidelity, Math.min(...all.map((rung) => rung.fidelity)));
    tests.push((rung) => rung.fidelity <= most);
  }
  return tests;
}

/** The test of a tier's floor. Where it asks for more than the ceilings leave, the most that they leave is the floor. */
export function floorOf(floor: NonNullable<TierBounds['floor']>, reachable: readonly Rung[]): Test {
  const level = Math.min(floor.level ?? 0, Math.max(...reachable.map((rung) => rung.level)));
  const high = reachable.filter((rung) => rung.level >= level);
  const fidelity = Math.min(floor.fidelity ?? 0, Math.max(...high.map((rung) => rung.fidelity)));
  return (rung) => rung.level >= level && rung.fidelity >= fidelity;
}
