import { AIMS, TERM_NAMES, TERM_VALUES, type TermName } from './budget.ts';

/** What a term's value is, in words. */
export const EXPECTED: Readonly<Record<TermName, string>> = {
  latency: 'a number of milliseconds above 0, at most 86400000',
  flops: "a share of the full network's FLOPs above 0, at most 1",
  gflops: 'a number of GFLOPs above 0',
  level: 'a whole number from 0',
  fidelity: 'a mean cosine above 0, at most 1',
  deadline: 'a number of milliseconds above 0, at most 86400000',
};

/** A value of each term that can be read. */
export const EXAMPLE: Readonly<Record<TermName, string>> = {
  latency: 'latency=40',
  flops: 'flops=0.7',
  gflops: 'gflops=1.2',
  level: 'level=3',
  fidelity: 'fidelity=0.95',
  deadline: 'deadline=250',
};

const WORDS = [...TERM_NAMES, 'aim'];

/** What the terms are, for messages. */
export const ALL_TERMS = `${TERM_NAMES.join(', ')} and aim`;

/** The term that a word is nearest to, if it is near to any. */
export function nearestTerm(word: string): string | undefined {
  return nearest(word, WORDS);
}

export function nearestAim(word: string): string | undefined {
  return nearest(word, AIMS);
}

function nearest(word: string, among: readonly string[]): string | undefined {
  // Longer words are none of ours, and comparing them takes time.
  if (word.length > 24) return undefined;
  const lower = word.toLowerCase();
  const [first] = among
    // The beginning of a name is near to it, too.
    .map((name) => ({
      name,
      distance: lower.length > 2 && name.startsWith(lower) ? 0 : distanceOf(lower, name),
    }))
    .filter(({ name, distance }) => distance <= Math.max(1, Math.floor(name.length / 3)))
    .sort((a, b) => a.distance - b.distance);
  return first?.name;
}

/**
 * Letters to add, leave out, change or swap (optimal string alignment), by rows of the table.
 */
function distanceOf(a: string, b: string): number {
  let [twoBack, before]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (before[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = swapped ? (twoBack[j - 2] ?? 0) + 1 : change;
      row.push(Math.min(change, swap, (before[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    [twoBack, before] = [before, row];
  }
  return before[b.length] ?? 0;
}

/** A number as the header takes it: digits, and a point with digits behind it. */
const NUMBER = /^-?\d{1,15}(\.\d{1,20})?$/;

/** The value of a text, if it is a number as the header takes it. */
export function readNumber(text: string): number | undefined {
  return NUMBER.test(text) ? Number(text) : undefined;
}

/** What somebody who wrote that value for that term meant, as a text that can be read; `undefined` where nobody knows. */
export function meantValue(name: TermName, text: string): string | undefined {
  const match = /^["'(]?\s*\+?(\d*[.,]?\d*)(e[+-]?\d{1,2})?\s*([a-z%µ]*)\s*[)"']?$/i.exec(text);
  if (!match) return undefined;
  const [, digits = '', exponent = '', unit = ''] = match;
  if (!/\d/.test(digits)) return undefined;
  const number = Number(digits.replace(',', '.') + exponent);
  const value = scaled(name, number, unit.toLowerCase());
  if (value === undefined || !TERM_VALUES[name].safeParse(value).success) return undefined;
  const written = String(value);
  return readNumber(written) === undefined ? undefined : written;
}

function scaled(name: TermName, value: number, unit: string): number | undefined {
  const isShare = name === 'flops' || name === 'fidelity';
  // Whoever writes 70 where 1 is the most means per cent.
  if (isShare && (unit === '%' || (unit === '' && value > 1 && value <= 100)))
    return Number((value / 100).toPrecision(12));
  if (unit === '') return value;
  const isTime = name === 'latency' || name === 'deadline';
  if (isTime && /^(ms|msecs?|milliseconds?)$/.test(unit)) return value;
  if (isTime && /^(s|secs?|seconds?)$/.test(unit)) return Number((value * 1000).toPrecision(12));
  if (name === 'gflops' && /^g(flops?)?$/.test(unit)) return value;
  return undefined;
}
