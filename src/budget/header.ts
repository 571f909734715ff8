import { type Item, parseDictionary } from 'structured-headers';
import { Problem } from '../problem/index.ts';
import { type Budget, TERM_VALUES, type Term, type TermName } from './budget.ts';

/** Longer headers are not budgets. */
const MAX_LENGTH = 1000;

/**
 * Reads `Compute-Budget`, a dictionary of RFC 9651: `latency=40;strict, flops=0.7`. Unknown keys are ignored.
 * @throws Problem('malformed-budget') with the character position, counted from 0
 * @example parseBudgetHeader('latency=40, flops=0.7') // { latency: { value: 40, strict: false }, flops: … }
 */
export function parseBudgetHeader(text: string): Budget {
  if (text.length > MAX_LENGTH)
    throw malformed(`it has ${text.length} characters; at most ${MAX_LENGTH} are read`, MAX_LENGTH);
  let dictionary: ReturnType<typeof parseDictionary>;
  try {
    dictionary = parseDictionary(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : '';
    const position = Number(/at offset (\d+)/.exec(reason)?.[1] ?? 0);
    throw malformed(reason.replace(/^Parse error: /, '').replace(/ at offset \d+$/, ''), position, cause);
  }
  const budget: Partial<Record<TermName, Term>> = {};
  for (const [key, [value, parameters]] of dictionary) {
    if (!(key in TERM_VALUES)) continue;
    const name = key as TermName; // checked one line above
    const parsed = TERM_VALUES[name].safeParse(value);
    if (!parsed.success) {
      const expected = parsed.error.issues[0]?.message ?? 'not a number';
      throw malformed(`${name}: ${expected}`, positionOf(text, key));
    }
    budget[name] = { value: parsed.data, strict: isTrue(parameters.get('strict')) };
  }
  return budget;
}

const isTrue = (item: Item[0] | undefined): boolean => item === true;

/** Where a key begins: at the start of a member. */
function positionOf(text: string, key: string): number {
  const match = new RegExp(`(?:^|,)[ \\t]*(${key})(?=[ \\t]*[=;,]|$)`).exec(text);
  return match ? match.index + match[0].length - key.length : 0;
}

function malformed(what: string, position: number, cause?: unknown): Problem {
  return new Problem(
    'malformed-budget',
    `Compute-Budget cannot be read at character ${position}: ${what}. A budget looks like "latency=40, flops=0.7" or "latency=40;strict, fidelity=0.95".`,
    { position },
    cause === undefined ? undefined : { cause },
  );
}
