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
 * The tests of a tier's ceilings. Whatever a fidelity ceiling says, the least faithful rung is below it: a tier gets
 * something of every ladder.
 * @param slack of a share that was printed
 */
export function ceilingsOf(ceiling: TierBounds['ceiling'], all: readonly Rung[], slack: number): Test[] {
  const { level, flops, fidelity } = ceiling ?? {};
  const tests: Test[] = [];
  if (level !== undefined) tests.push((rung) => rung.level <= level);
  if (flops !== undefined) tests.push((rung) => rung.flops <= flops + slack);
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
