import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Budget,
  budgetFromBody,
  formatBudget,
  parseBudgetHeader,
  tightest,
} from '../../src/budget/index.ts';
import { isProblem, type Problem } from '../../src/problem/index.ts';
import { budgetText } from '../support/budget-texts.ts';

function refusal(read: () => unknown): Problem | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    if (isProblem(error, 'malformed-budget')) return error;
    throw error;
  }
}
const refused = (text: string) => refusal(() => parseBudgetHeader(text));
const term = (value: number, strict = false) => ({ value, strict });

describe('Compute-Budget', () => {
  it('reads terms, their strictness, and what to aim at', () => {
    expect(parseBudgetHeader('latency=40;strict, flops=0.7, aim=best')).toEqual({
      latency: term(40, true),
      flops: term(0.7),
      aim: 'best',
    });
    expect(parseBudgetHeader('  level=0 ,\tgflops=1.25 ')).toEqual({ level: term(0), gflops: term(1.25) });
    expect(parseBudgetHeader('')).toEqual({});
  });

  it('takes as many digits as are given', () => {
    expect(parseBudgetHeader('fidelity=0.9995, flops=0.33333')).toEqual({
      fidelity: term(0.9995),
      flops: term(0.33333),
    });
  });

  it.each([';strict', ';strict=?1', ';strict=1', ';strict=true', '; strict'])(
    'reads "%s" as a bound',
    (text) => {
      expect(parseBudgetHeader(`latency=1${text}`)).toEqual({ latency: term(1, true) });
    },
  );

  it('reads a strictness that is switched off as none', () => {
    for (const off of ['?0', '0', 'false'])
      expect(parseBudgetHeader(`latency=1;strict=${off}`)).toEqual({ latency: term(1) });
  });

  // What was sent, where it goes wrong, and what was meant.
  it.each([
    ['flop=0.5', 0, 'flops=0.5'],
    ['latancy=20', 0, 'latency=20'],
    ['half', 0, undefined],
    ['Flops=0.5', 0, 'flops=0.5'],
    ['FIDELITY=0.9', 0, 'fidelity=0.9'],
    ['latency=1;fidelity=0.99', 10, 'latency=1, fidelity=0.99'],
    ['latency=1;fidelty=0.99', 10, 'latency=1, fidelity=0.99'],
    ['latency=40, strict', 12, 'latency=40;strict'],
    ['latency=40;stric', 11, 'latency=40;strict'],
    ['latency=40;strict=maybe', 11, 'latency=40;strict'],
    ['flops=0.5;each', 10, 'flops=0.5;strict'],
    ['constructor=1', 0, undefined],
    ['__proto__=1', 0, undefined],
    ['flops=0.5, toString', 11, undefined],
    ['flops=70%', 0, 'flops=0.7'],
    ['flops=70', 0, 'flops=0.7'],
    ['fidelity=99.95', 0, 'fidelity=0.9995'],
    ['latency=20ms', 0, 'latency=20'],
    ['latency=20 ms', 0, 'latency=20'],
    ['deadline=1.5s', 0, 'deadline=1500'],
    ['gflops=1.2G', 0, 'gflops=1.2'],
    ['flops="0.5"', 0, 'flops=0.5'],
    ['flops=1e-1', 0, 'flops=0.1'],
    ['flops = .5', 5, 'flops=0.5'],
    ['flops= 0.5', 5, 'flops=0.5'],
    ['flops=.5', 0, 'flops=0.5'],
    ['latency=abc', 0, 'latency=40'],
    ['latency=40 flops=0.7', 11, 'latency=40, flops=0.7'],
    ['latency 40', 8, undefined],
    ['flops', 0, 'flops=0.7'],
    ['flops=', 6, 'flops=0.7'],
    ['flops=0.5, latency=soon', 11, 'latency=40'],
    ['flops=0.5,', 9, 'flops=0.5'],
    ['flops=0.5,, latency=1', 10, undefined],
    ['flops=0.5, flops=0.7', 11, undefined],
    ['flops=0', 0, 'flops=0.7'],
    ['fidelity=1000', 0, 'fidelity=0.95'],
    ['gflops=1, level=1.5', 10, 'level=3'],
    ['latency=-1', 0, 'latency=40'],
    ['level=(1 2)', 0, 'level=3'],
    ['aim=cheap', 0, 'aim=cheapest'],
    ['aim=bets', 0, 'aim=best'],
    ['aim', 0, undefined],
    ['aim=best;strict', 9, 'aim=best'],
  ])('refuses "%s" with where and what was meant', (text, position, suggestion) => {
    const problem = refused(text);
    expect(problem?.details).toEqual({ position, ...(suggestion !== undefined && { suggestion }) });
    expect(problem?.message).toContain(`at character ${position}:`);
    if (suggestion !== undefined) expect(problem?.message).toContain(`Did you mean "${suggestion}"?`);
    if (suggestion !== undefined) expect(refused(suggestion)).toBeUndefined();
  });

  it('reads any text, or names a position inside it; what it suggests can be read', () => {
    fc.assert(
      fc.property(budgetText, (text) => {
        const problem = refused(text);
        if (!problem) return true;
        const { position, suggestion } = problem.details;
        if (typeof suggestion === 'string')
          expect([text, refused(suggestion)?.message]).toEqual([text, undefined]);
        return typeof position === 'number' && position >= 0 && position <= text.length;
      }),
      { numRuns: 5000 },
    );
  });

  it('drops nothing: what it has read, written down again, is the same', () => {
    fc.assert(
      fc.property(budgetText, (text) => {
        if (refused(text)) return;
        const budget = parseBudgetHeader(text);
        expect(parseBudgetHeader(formatBudget(budget))).toEqual(budget);
        // Every word of the text is in the budget.
        const names = text.split(',').flatMap((member) => /[a-z]+/.exec(member) ?? []);
        expect(Object.keys(budget).sort()).toEqual(names.sort());
      }),
      { numRuns: 5000 },
    );
  });

  it('combines header and body to the tightest of each term, and the cheaper aim', () => {
    expect(
      tightest(
        { flops: term(0.5), fidelity: term(0.8), latency: term(40, true), aim: 'best' },
        { flops: term(0.7, true), fidelity: term(0.9), deadline: term(100), aim: 'cheapest' },
      ),
    ).toEqual({
      flops: term(0.5, true),
      fidelity: term(0.9),
      latency: term(40, true),
      deadline: term(100),
      aim: 'cheapest',
    });
    expect(tightest({ aim: 'best' }, {})).toEqual({ aim: 'best' });
  });
});

describe('compute_budget of a body', () => {
  it('means the same as the header, of which it takes the text too', () => {
    const budget: Budget = { latency: term(40, true), flops: term(0.7), aim: 'cheapest' };
    const body = { latency: { value: 40, strict: true }, flops: 0.7, aim: 'cheapest', fidelity: null };
    expect(budgetFromBody(body)).toEqual(budget);
    expect(budgetFromBody('latency=40;strict, flops=0.7, aim=cheapest')).toEqual(budget);
    expect([budgetFromBody(undefined), budgetFromBody(null)]).toEqual([{}, {}]);
  });

  it.each([
    [{ flop: 0.5 }, 'compute_budget.flop', { flops: 0.5 }],
    [{ latancy: null }, 'compute_budget.latancy', { latency: 40 }],
    [{ constructor: 1 }, 'compute_budget.constructor', undefined],
    [{ flops: '70%' }, 'compute_budget.flops', { flops: 0.7 }],
    [{ flops: 70 }, 'compute_budget.flops', { flops: 0.7 }],
    [{ latency: '20ms' }, 'compute_budget.latency', { latency: 20 }],
    [{ latency: { value: 1, strickt: true } }, 'compute_budget.latency.strickt', expect.anything()],
    [{ latency: { value: 1, strict: 1 } }, 'compute_budget.latency.strict', expect.anything()],
    [{ latency: { strict: true } }, 'compute_budget.latency.value', expect.anything()],
    [{ aim: 'cheap' }, 'compute_budget.aim', { aim: 'cheapest' }],
    [[0.5], 'compute_budget', expect.anything()],
    [0.5, 'compute_budget', expect.anything()],
  ])('refuses %j with where and what was meant', (body, path, suggestion) => {
    const problem = refusal(() => budgetFromBody(body));
    expect(problem?.details).toEqual({ path, ...(suggestion !== undefined && { suggestion }) });
    if (problem?.details.suggestion) expect(budgetFromBody(problem.details.suggestion)).toBeTruthy();
  });

  it('refuses any other JSON, with where', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (body) => {
        const problem = refusal(() => budgetFromBody(body));
        if (problem) expect(problem.details.path ?? problem.details.position).toBeDefined();
      }),
      { numRuns: 2000 },
    );
  });
});
