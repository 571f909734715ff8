import fc from 'fast-check';
import { parseDictionary } from 'structured-headers';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseBudgetHeader } from '../../src/budget/index.ts';
import { createGateway, type Gateway } from '../../src/gateway/index.ts';
import { ModelRegistry, OPEN_TIERS, RateLimiter, Scheduler } from '../../src/serving/index.ts';
import { budgetText } from '../support/budget-texts.ts';
import { loadSimulated, SimulatedClock, simulatedModel } from '../support/simulation.ts';

/** Share, fidelity, ms. GFLOPs are the share. */
const LEVELS = [
  [0.2504, 0.7, 10],
  [0.5, 0.9, 20],
  [0.75, 0.96, 30],
  [1, 1, 40],
] as const;

interface Body {
  readonly code?: string;
  readonly position?: number;
  readonly path?: string;
  readonly suggestion?: unknown;
}

describe('budgets over HTTP, in simulated time', () => {
  let clock: SimulatedClock;
  let app: Gateway;

  beforeAll(async () => {
    clock = new SimulatedClock();
    const { model } = simulatedModel({ clock, levels: LEVELS });
    await loadSimulated(model, clock);
    const registry = new ModelRegistry();
    await registry.put(model);
    app = createGateway({
      registry,
      scheduler: new Scheduler(OPEN_TIERS, clock),
      limiter: new RateLimiter(clock),
      decoder: { mediaTypes: ['image/png'], decode: async () => Float32Array.of(1) },
      clock,
      version: '0',
    });
  });

  async function ask(headers: Record<string, string>, budget?: unknown) {
    const body = JSON.stringify({
      input: 'iVBORw0KGgo=',
      ...(budget !== undefined && { compute_budget: budget }),
    });
    const answer = Promise.resolve(
      app.request('/v1/embeddings', {
        method: 'POST',
        body,
        headers: { 'Content-Type': 'application/json', ...headers },
      }),
    );
    // Bodies are read in real time, which passes none of the simulated.
    for (let turn = 0; turn < 20; turn++) await new Promise((done) => setImmediate(done));
    await clock.run(1000);
    const response = await answer;
    const applied = new Map(
      [...parseDictionary(response.headers.get('Compute-Applied') ?? '')].map(([key, [value]]) => [
        key,
        Number(value),
      ]),
    );
    const { code, position, path, suggestion } = (await response.json()) as Body; // a problem, or an answer without these
    return { status: response.status, code, position, path, suggestion, applied };
  }

  it.each([
    ['flop=0.5', 0, 'flops=0.5'],
    ['latancy=20', 0, 'latency=20'],
    ['half', 0, undefined],
    ['latency=1;fidelity=0.99', 10, 'latency=1, fidelity=0.99'],
    ['constructor=1', 0, undefined],
    ['flops=70%', 0, 'flops=0.7'],
    ['latency=20ms', 0, 'latency=20'],
    ['Flops=0.5', 0, 'flops=0.5'],
    ['flops = .5', 5, 'flops=0.5'],
    ['flops=70', 0, 'flops=0.7'],
    ['latency=abc', 0, 'latency=40'],
  ])('refuse "%s" with its position and the correction', async (text, position, suggestion) => {
    expect(await ask({ 'Compute-Budget': text })).toMatchObject({
      status: 400,
      code: 'malformed-budget',
      position,
    });
    expect((await ask({ 'Compute-Budget': text })).suggestion).toBe(suggestion);
    // In the body the same text is the same.
    expect(await ask({}, text)).toMatchObject({ status: 400, code: 'malformed-budget', position });
  });

  it('keep a strict bound however strictness is written', async () => {
    for (const strict of ['strict', 'strict=true', 'strict=1', 'strict=?1'])
      expect(await ask({ 'Compute-Budget': `latency=1;${strict}` })).toMatchObject({
        code: 'budget-unsatisfiable',
      });
  });

  it('give the cheapest level that keeps a fidelity, and the best where that is the aim', async () => {
    const level = async (text: string) => (await ask({ 'Compute-Budget': text })).applied.get('level');
    expect(await level('fidelity=0.95')).toBe(2);
    expect(await level('fidelity=0.9995')).toBe(3);
    expect(await level('fidelity=0.95, aim=best')).toBe(3);
    expect(await level('aim=cheapest')).toBe(0);
    expect(await level('flops=0.8, aim=cheapest')).toBe(0);
    expect(await level('flops=0.8')).toBe(2);
  });

  it('refuse what is unknown in a body, with the path', async () => {
    expect(await ask({}, { flop: 0.5 })).toMatchObject({
      status: 400,
      code: 'malformed-budget',
      path: 'compute_budget.flop',
      suggestion: { flops: 0.5 },
    });
  });

  it('read X-Compute-Budget as Compute-Budget, for proxies that pass on nothing else', async () => {
    expect((await ask({ 'X-Compute-Budget': 'level=1' })).applied.get('level')).toBe(1);
    expect(await ask({ 'X-Compute-Budget': 'levle=1' })).toMatchObject({
      code: 'malformed-budget',
      position: 0,
    });
    const both = await ask(
      { 'X-Compute-Budget': 'flops=0.5', 'Compute-Budget': 'flops=0.8' },
      { flops: 0.9 },
    );
    expect(both.applied.get('level')).toBe(1);
  });

  it('are read, refused with a position, or not satisfiable; what is answered exceeds none of their terms', async () => {
    const bytes = fc
      .uint8Array({ maxLength: 40 })
      .map((list) => String.fromCharCode(...list.filter((byte) => byte === 9 || byte > 31)));
    const texts = fc.oneof({ weight: 5, arbitrary: budgetText }, { weight: 1, arbitrary: bytes });
    let answered = 0;
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        const header = text.replace(/[^\t\x20-\x7e\x80-\xff]/g, '');
        const { status, code, position, applied } = await ask({ 'Compute-Budget': header });
        if (code === 'malformed-budget') {
          expect([status, typeof position]).toEqual([400, 'number']);
          return;
        }
        if (code !== undefined) {
          // Well-formed, and the terms contradict each other or cannot be kept in time.
          expect([
            header,
            ['budget-unsatisfiable', 'overloaded', 'deadline-exceeded'].includes(code),
          ]).toEqual([header, true]);
          return;
        }
        answered++;
        expect(status).toBe(200);
        const { flops, gflops, level, fidelity, latency, deadline } = parseBudgetHeader(header.trim());
        const [share, worth, ms] = LEVELS[applied.get('level') ?? -1] ?? expect.fail('no level');
        const printed = (value: number) => Number(value.toFixed(3));
        for (const ceiling of [flops, gflops])
          if (ceiling) expect(share <= ceiling.value || printed(share) <= ceiling.value).toBe(true);
        if (flops && printed(flops.value) !== flops.value) expect(share).toBeLessThanOrEqual(flops.value);
        if (level) expect(applied.get('level')).toBe(level.value);
        if (fidelity) expect(worth).toBeGreaterThanOrEqual(fidelity.value);
        if (latency?.strict) expect(ms).toBeLessThanOrEqual(latency.value);
        if (deadline) expect(ms).toBeLessThanOrEqual(deadline.value);
      }),
      { numRuns: 1500 },
    );
    expect(answered).toBeGreaterThan(100);
  });
});
