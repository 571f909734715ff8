import { z } from 'zod';
import { Problem } from '../problem/index.ts';
import { AIMS, type Budget, isAim, isTermName, TERM_VALUES, type Term, type TermName } from './budget.ts';
import { parseBudgetHeader } from './header.ts';
import { ALL_TERMS, EXAMPLE, EXPECTED, meantValue, nearestAim, nearestTerm } from './terms.ts';

const term = (value: z.ZodType<number>) =>
  z.union([value, z.strictObject({ value, strict: z.boolean().default(false) }), z.null()]).optional();

/** `compute_budget` of a JSON body, as documents describe it; {@link budgetFromBody} reads it. */
export const ComputeBudgetSchema = z.union([
  z.strictObject({
    latency: term(TERM_VALUES.latency).describe('Target for the server time, ms'),
    flops: term(TERM_VALUES.flops).describe("Share of the full network's FLOPs, at most"),
    gflops: term(TERM_VALUES.gflops).describe('GFLOPs per image, at most'),
    level: term(TERM_VALUES.level).describe('Exactly this level'),
    fidelity: term(TERM_VALUES.fidelity).describe('Never a level with less published fidelity'),
    deadline: term(TERM_VALUES.deadline).describe('After this many ms the answer is worthless'),
    aim: z.enum(AIMS).nullish().describe('The best or the cheapest of the levels that satisfy the terms'),
  }),
  z.string().describe('The same as in the header Compute-Budget'),
]);

const PATH = 'compute_budget';

/**
 * The budget of a JSON body: an object of terms, or the header's text. `null` is absent.
 * @throws Problem('malformed-budget') with `path`, or `position` in a text
 */
export function budgetFromBody(body: unknown): Budget {
  if (body === undefined || body === null) return {};
  if (typeof body === 'string') return parseBudgetHeader(body);
  if (typeof body !== 'object' || Array.isArray(body))
    throw malformed(PATH, 'it is neither an object of terms nor a text', { latency: 40, flops: 0.7 });
  const terms: Partial<Record<TermName, Term>> = {};
  let aim: Budget['aim'];
  for (const [name, value] of Object.entries(body)) {
    const path = `${PATH}.${name.slice(0, 40)}`;
    if (value === null || value === undefined) {
      if (!isTermName(name) && name !== 'aim') throw unknown(path, name, value);
    } else if (name === 'aim') aim = readAim(path, value);
    else if (isTermName(name)) terms[name] = readTerm(path, name, value);
    else throw unknown(path, name, value);
  }
  return { ...terms, ...(aim && { aim }) };
}

function unknown(path: string, name: string, value: unknown): Problem {
  return malformed(
    path,
    `there is no term "${name.slice(0, 40)}". There are ${ALL_TERMS}`,
    meantTerm(nearestTerm(name), value),
  );
}

function meantTerm(name: string | undefined, value: unknown): object | undefined {
  if (name === undefined) return undefined;
  if (!isTermName(name)) return { aim: isAim(value) ? value : 'best' };
  return { [name]: TERM_VALUES[name].safeParse(value).success ? value : exampleOf(name) };
}

const exampleOf = (name: TermName): number => Number(EXAMPLE[name].split('=')[1]);

function readTerm(path: string, name: TermName, given: unknown): Term {
  if (typeof given !== 'object') return { value: readValue(path, name, given), strict: false };
  const { value, strict = false, ...rest } = { ...given } as Record<string, unknown>; // checked below
  const [other] = Object.keys(rest);
  if (other !== undefined)
    throw malformed(
      `${path}.${other.slice(0, 40)}`,
      'a term has the members "value" and "strict" and no others',
      { [name]: { value: exampleOf(name), strict: true } },
    );
  if (typeof strict !== 'boolean')
    throw malformed(`${path}.strict`, 'it is neither true nor false', {
      [name]: { value: exampleOf(name), strict: true },
    });
  return { value: readValue(`${path}.value`, name, value), strict };
}

function readValue(path: string, name: TermName, value: unknown): number {
  if (typeof value === 'number' && TERM_VALUES[name].safeParse(value).success) return value;
  const meant =
    typeof value === 'string' || typeof value === 'number' ? meantValue(name, String(value)) : undefined;
  throw malformed(path, `it is not ${EXPECTED[name]}`, {
    [name]: meant === undefined ? exampleOf(name) : Number(meant),
  });
}

function readAim(path: string, value: unknown): Budget['aim'] {
  if (isAim(value)) return value;
  throw malformed(path, 'it is neither "best" nor "cheapest"', { aim: nearestAim(String(value)) ?? 'best' });
}

function malformed(path: string, what: string, suggestion?: object): Problem {
  const way = suggestion
    ? `Did you mean ${JSON.stringify(suggestion)}?`
    : 'A budget looks like {"latency": 40, "flops": 0.7}.';
  return new Problem('malformed-budget', `${path}: ${what}. ${way}`, {
    path,
    ...(suggestion && { suggestion }),
  });
}
