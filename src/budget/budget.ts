import { z } from 'zod';

/** One term of a budget. */
export interface Term {
  readonly value: number;
  /** Fail rather than exceed it. */
  readonly strict: boolean;
}

/** What a request may spend. Absent terms do not bind. */
export interface Budget {
  /** Target for the server's own time, queue wait included, ms. */
  readonly latency?: Term;
  /** Ceiling: share of the full network's FLOPs, (0, 1]. */
  readonly flops?: Term;
  /** Ceiling: FLOPs per image in units of 1e9; 1 multiply-add = 2 FLOPs. */
  readonly gflops?: Term;
  /** Exactly this level of the ladder. */
  readonly level?: Term;
  /** Floor: never run a level whose published fidelity is lower, (0, 1]. */
  readonly fidelity?: Term;
  /** After this many ms the answer is worthless. */
  readonly deadline?: Term;
}

export type TermName = keyof Budget;

const milliseconds = z.number().positive().max(86_400_000);
const share = z.number().positive().max(1);

/** The values of the terms, by name; the same for the header and the body. */
export const TERM_VALUES = {
  latency: milliseconds,
  flops: share,
  gflops: z.number().positive().max(1e9),
  level: z.number().int().nonnegative().max(10_000),
  fidelity: share,
  deadline: milliseconds,
} as const satisfies Record<TermName, z.ZodType<number>>;

const term = (value: z.ZodType<number>) =>
  z.union([value, z.strictObject({ value, strict: z.boolean().default(false) })]).optional();

/** `compute_budget` of a JSON body. Unknown keys are ignored, as in the header. */
export const ComputeBudgetSchema = z.object({
  latency: term(TERM_VALUES.latency).describe('Target for the server time, ms'),
  flops: term(TERM_VALUES.flops).describe("Share of the full network's FLOPs, at most"),
  gflops: term(TERM_VALUES.gflops).describe('GFLOPs per image, at most'),
  level: term(TERM_VALUES.level).describe('Exactly this level'),
  fidelity: term(TERM_VALUES.fidelity).describe('Never a level with less published fidelity'),
  deadline: term(TERM_VALUES.deadline).describe('After this many ms the answer is worthless'),
});
export type ComputeBudgetBody = z.infer<typeof ComputeBudgetSchema>;

/** The body's budget in the form that the planner takes. */
export function budgetFromBody(body: ComputeBudgetBody | undefined): Budget {
  const budget: Partial<Record<TermName, Term>> = {};
  for (const [name, value] of Object.entries(body ?? {})) {
    if (value !== undefined)
      budget[name as TermName] = typeof value === 'number' ? { value, strict: false } : value; // schema keys
  }
  return budget;
}

/** Header and body together: of each term the tighter one; strict if either is. */
export function tightest(a: Budget, b: Budget): Budget {
  const budget: Partial<Record<TermName, Term>> = { ...a };
  for (const [key, term] of Object.entries(b) as [TermName, Term][]) {
    const other = a[key];
    if (!other) {
      budget[key] = term;
      continue;
    }
    const value = key === 'fidelity' ? Math.max(other.value, term.value) : Math.min(other.value, term.value);
    budget[key] = { value, strict: other.strict || term.strict };
  }
  return budget;
}
