import { z } from 'zod';

/** One term of a budget. */
export interface Term {
  readonly value: number;
  /** Fail rather than exceed it. */
  readonly strict: boolean;
}

/** Which of the levels that satisfy all terms: the most faithful, or the one that takes the engine least. */
export type Aim = 'best' | 'cheapest';

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
  /** @default 'cheapest' where `fidelity` is the only term, otherwise 'best' */
  readonly aim?: Aim;
}

export type TermName = Exclude<keyof Budget, 'aim'>;

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

export const TERM_NAMES = Object.keys(TERM_VALUES) as readonly TermName[]; // its keys

export const AIMS: readonly Aim[] = ['best', 'cheapest'];

export const isTermName = (word: string): word is TermName => Object.hasOwn(TERM_VALUES, word);
export const isAim = (word: unknown): word is Aim => AIMS.some((aim) => aim === word);

/** Whether whoever sent this has said that less than the best will do: by any term, or by aiming at the cheapest. */
export const givesUp = (budget: Budget): boolean =>
  budget.aim === 'cheapest' || TERM_NAMES.some((name) => budget[name]);

/** The aim of a budget that may name none. A floor alone says what is enough, so more would be waste. */
export function aimOf(budget: Budget): Aim {
  if (budget.aim) return budget.aim;
  const terms = TERM_NAMES.filter((name) => budget[name]);
  return terms.length === 1 && budget.fidelity ? 'cheapest' : 'best';
}

/** Header and body together: of each term the tighter one; strict if either is; the cheaper aim. */
export function tightest(a: Budget, b: Budget): Budget {
  const budget: Partial<Record<TermName, Term>> = {};
  for (const name of TERM_NAMES) {
    const term = tighter(name, a[name], b[name]);
    if (term) budget[name] = term;
  }
  const aim = a.aim === 'cheapest' ? a.aim : (b.aim ?? a.aim);
  return { ...budget, ...(aim && { aim }) };
}

function tighter(name: TermName, a: Term | undefined, b: Term | undefined): Term | undefined {
  if (!a || !b) return a ?? b;
  const value = name === 'fidelity' ? Math.max(a.value, b.value) : Math.min(a.value, b.value);
  return { value, strict: a.strict || b.strict };
}

/** A budget as the header's text, which means the same when it is read again. */
export function formatBudget(budget: Budget): string {
  const terms = TERM_NAMES.flatMap((name) => {
    const term = budget[name];
    return term ? [`${name}=${formatNumber(term.value)}${term.strict ? ';strict' : ''}`] : [];
  });
  return [...terms, ...(budget.aim ? [`aim=${budget.aim}`] : [])].join(', ');
}

/** All digits of a number, without an exponent. */
export function formatNumber(value: number): string {
  const text = String(value);
  return text.includes('e') ? value.toFixed(20).replace(/\.?0+$/, '') : text;
}
