import { Problem } from '../problem/index.ts';
import { type Aim, type Budget, isAim, isTermName, TERM_VALUES, type Term, type TermName } from './budget.ts';
import { ALL_TERMS, EXAMPLE, EXPECTED, meantValue, nearestAim, nearestTerm, readNumber } from './terms.ts';

/** Longer headers are not budgets. */
const MAX_LENGTH = 1000;

/** One member of the dictionary, or one parameter of it, as it is written. */
interface Written {
  /** Where the name begins. */
  readonly at: number;
  readonly name: string;
  /** Text behind `=`; `undefined` without one. */
  readonly value: string | undefined;
  /** Where there are blanks around `=`; RFC 9651 has none there. */
  readonly blank: number | undefined;
}

interface Member extends Written {
  readonly parameters: readonly Written[];
}

/**
 * Reads `Compute-Budget`, a dictionary of RFC 9651: `latency=40;strict, flops=0.7, aim=best`. Numbers may have more digits than
 * the RFC's three. Whatever is not understood is refused, with the position and, where it can be told, what was meant.
 * @throws Problem('malformed-budget') with `position`, the character counted from 0, and `suggestion`
 * @example parseBudgetHeader('latency=40, flops=0.7') // { latency: { value: 40, strict: false }, flops: … }
 */
export function parseBudgetHeader(text: string): Budget {
  if (text.length > MAX_LENGTH)
    throw malformed(MAX_LENGTH, `it has ${text.length} characters; at most ${MAX_LENGTH} are read`);
  const terms: Partial<Record<TermName, Term>> = {};
  let aim: Aim | undefined;
  for (const member of membersOf(text)) {
    const { at, name } = member;
    if (Object.hasOwn(terms, name) || (name === 'aim' && aim))
      throw malformed(at, `"${name}" is named twice. Keep one of them`);
    if (name === 'aim') aim = readAim(member);
    else if (isTermName(name)) terms[name] = readTerm(name, member);
    else throw unknownTerm(member);
  }
  return { ...terms, ...(aim && { aim }) };
}

function* membersOf(text: string): Iterable<Member> {
  let at = skip(text, 0);
  while (at < text.length) {
    const { written, end } = readWritten(text, at);
    const parameters: Written[] = [];
    let next = end;
    while (text[next] === ';') {
      const parameter = readWritten(text, skip(text, next + 1));
      parameters.push(parameter.written);
      next = parameter.end;
    }
    yield { ...written, parameters };
    if (next >= text.length) return;
    at = skip(text, next + 1);
    if (at >= text.length) throw malformed(next, 'it ends with a comma', text.slice(0, next).trim());
  }
}

const skip = (text: string, from: number): number => {
  let at = from;
  while (text[at] === ' ' || text[at] === '\t') at++;
  return at;
};

/** A name, and what is behind `=` up to the next comma or semicolon. */
function readWritten(text: string, at: number): { written: Written; end: number } {
  const pattern = /([^\s=;,]*)([ \t]*)(?:(=)([ \t]*)([^;,]*))?/y;
  pattern.lastIndex = at;
  const [all = '', name = '', before = '', equals, after = '', value = ''] = pattern.exec(text) ?? [];
  const end = at + all.length;
  if (name === '') throw malformed(at, 'a term is missing here');
  const blank = equals === undefined ? 0 : before.length + after.length;
  const written = {
    at,
    name,
    value: equals === undefined ? undefined : value.trimEnd(),
    blank: blank > 0 ? at + name.length : undefined,
  };
  // Something other than a comma follows the name: `latency flops=0.7`.
  if (equals === undefined && end < text.length && text[end] !== ',' && text[end] !== ';')
    throw malformed(end, `a comma is missing between "${name}" and what follows`);
  return { written, end };
}

function unknownTerm({ at, name, value }: Written): Problem {
  if (name === 'strict')
    return malformed(at, '"strict" is no term: it stands behind one, with a semicolon', 'latency=40;strict');
  const near = nearestTerm(name);
  const meant = near && corrected(near, value ?? '');
  return malformed(at, `there is no term "${name.slice(0, 40)}". There are ${ALL_TERMS}`, meant);
}

/** A term with a value that can be read: what was meant, or an example where nobody knows. */
function corrected(name: string, text: string): string {
  if (name === 'aim') return `aim=${isAim(text) ? text : 'best'}`;
  if (!isTermName(name)) return EXAMPLE.flops;
  const value = readNumber(text);
  const readable = value !== undefined && TERM_VALUES[name].safeParse(value).success;
  const meant = readable ? text : meantValue(name, text);
  return meant === undefined ? EXAMPLE[name] : `${name}=${meant}`;
}

function readTerm(name: TermName, { at, value, blank, parameters }: Member): Term {
  if (value === undefined || value === '')
    throw malformed(
      value === undefined ? at : at + name.length + 1,
      `"${name}" needs a value: ${EXPECTED[name]}`,
      EXAMPLE[name],
    );
  checkComma(name, at, value);
  const number = readNumber(value);
  if (blank !== undefined) throw malformed(blank, 'there are no blanks around "="', corrected(name, value));
  if (number === undefined || !TERM_VALUES[name].safeParse(number).success)
    throw malformed(at, `${name}: "${value.slice(0, 40)}" is not ${EXPECTED[name]}`, corrected(name, value));
  return { value: number, strict: parameters.map((one) => readStrict(name, value, one)).some(Boolean) };
}

/** `latency=40 flops=0.7`: what stands behind the blank is the next term. */
function checkComma(name: TermName, at: number, value: string): void {
  const match = /^(\S+)[ \t]+(\S.*)$/.exec(value);
  if (!match) return;
  const [, own = '', next = ''] = match;
  const [word = '', other = ''] = next.split('=', 2);
  const near = nearestTerm(word);
  if (near === undefined || !next.includes('=')) return;
  throw malformed(
    at + name.length + 1 + value.length - next.length,
    'a comma is missing between two terms',
    both([name, own], [near, other.trim()]),
  );
}

/** Two terms as they were meant; of one that is named twice nobody knows. */
function both(first: readonly [string, string], second: readonly [string, string]): string | undefined {
  return first[0] === second[0] ? undefined : `${corrected(...first)}, ${corrected(...second)}`;
}

function readStrict(name: TermName, own: string, parameter: Written): boolean {
  const { at, name: word, value } = parameter;
  if (word === 'strict') {
    if (value === undefined || /^(\?1|1|true)$/i.test(value)) return true;
    if (/^(\?0|0|false)$/i.test(value)) return false;
    throw malformed(at, `";strict" takes no value "${value.slice(0, 40)}"`, `${name}=${own};strict`);
  }
  const near = nearestTerm(word);
  if (near !== undefined) {
    throw malformed(
      at,
      `"${word}" is a term and no parameter of ${name}: a comma stands between terms, not a semicolon`,
      both([name, own], [near, value ?? '']),
    );
  }
  throw malformed(
    at,
    `there is no parameter "${word.slice(0, 40)}". The only one is ";strict"`,
    `${name}=${own};strict`,
  );
}

function readAim({ at, value = '', blank, parameters }: Member): Aim {
  const near = isAim(value) ? value : nearestAim(value);
  if (blank !== undefined) throw malformed(blank, 'there are no blanks around "="', near && `aim=${near}`);
  if (!isAim(value))
    throw malformed(at, `aim: "${value.slice(0, 40)}" is neither best nor cheapest`, near && `aim=${near}`);
  const [first] = parameters;
  if (first)
    throw malformed(
      first.at,
      `"aim" takes no parameter "${first.name.slice(0, 40)}"; a comma stands between terms, not a semicolon`,
      `aim=${value}`,
    );
  return value;
}

function malformed(position: number, what: string, suggestion?: string): Problem {
  const way =
    suggestion === undefined
      ? 'A budget looks like "latency=40, flops=0.7" or "latency=40;strict, fidelity=0.95".'
      : `Did you mean "${suggestion}"?`;
  return new Problem(
    'malformed-budget',
    `Compute-Budget cannot be read at character ${position}: ${what}. ${way}`,
    {
      position,
      ...(suggestion !== undefined && { suggestion }),
    },
  );
}
