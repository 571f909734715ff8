import { describe, expect, it } from 'vitest';
import { Deployment } from '../../../bench/autoscale/deployment.ts';
import { Events } from '../../../bench/autoscale/events.ts';
import { IDLE_SECONDS, SANDBOX_SECONDS, simulateFunctions } from '../../../bench/autoscale/functions.ts';
import { type Inputs, readInputs } from '../../../bench/autoscale/inputs.ts';
import { POD_START_SECONDS, type PodScaler, simulatePods } from '../../../bench/autoscale/pods.ts';
import { podCost } from '../../../bench/autoscale/prices.ts';
import { arrivals, DAY_SECONDS, rateAt } from '../../../bench/autoscale/trace.ts';

/** Two levels without scatter: 100 ms of the half and 200 ms of the whole; starts take 1 s, 2 s, and 3 s for the fixed one. */
const inputs: Inputs = {
  command: '',
  machine: '',
  model: '',
  levels: [
    { share: 0.5, fidelity: 0.9, median: 100, p95: 100, end: 50 },
    { share: 1, fidelity: 1, median: 200, p95: 200, end: 100 },
  ],
  coldStart: { link: '', elastic: { first: 1, all: 2 }, fixed: { first: 3, all: 3 } },
};
const wanted = { latency: 1000, deadline: 20_000 };
const deployment = (name: 'elastic' | 'fixed full', bounds = {}) =>
  new Deployment(name, inputs, { bounds, wanted, seed: 1 });
const constant = (pods: number): PodScaler => ({ every: 2, choices: 1, decide: () => pods });
const pods = { workers: 1, cores: 1, memoryMb: 1024, queue: 100, seed: 1, wanted };

describe('a day on pods', () => {
  it('answers one request at a time per worker, at the full level while nothing presses', () => {
    const times = Float64Array.of(10, 10.1, 20);
    const { summary } = simulatePods({
      ...pods,
      times,
      deployment: deployment('elastic'),
      scaler: constant(1),
      pods: 1,
    });
    // 200 ms; behind the first: 100 ms of waiting and 200 ms; 200 ms.
    expect(summary).toMatchObject({ requests: 3, shed: 0, inTime: 1, fidelity: 1, most: 1 });
    expect(summary.p50).toBeCloseTo(200, 6);
    expect(summary.p99).toBeCloseTo(298, 6);
    expect(summary.cost).toBeCloseTo(podCost(1, 1024, DAY_SECONDS), 9);
  });

  it('spends less per answer under pressure where it may, down to the floor and no further', () => {
    // Twenty at once: a fixed deployment serves the last after 4 s.
    const times = Float64Array.from({ length: 20 }, () => 10);
    const run = (own: Deployment) =>
      simulatePods({ ...pods, times, deployment: own, scaler: constant(1), pods: 1 }).summary;
    const [elastic, fixed] = [run(deployment('elastic')), run(deployment('fixed full'))];
    expect(fixed.fidelity).toBe(1);
    expect(fixed.p99).toBeCloseTo(3962, 6);
    expect(elastic.fidelity).toBeLessThan(0.95);
    expect(elastic.p99).toBeLessThan(2600);
    const floor = run(deployment('elastic', { floor: { fidelity: 0.95 } }));
    expect(floor).toMatchObject({ fidelity: 1, p99: fixed.p99 });
  });

  it('refuses what would be worthless by the time it is answered', () => {
    const times = Float64Array.from({ length: 300 }, () => 10);
    const { summary } = simulatePods({
      ...pods,
      queue: 1000,
      times,
      deployment: deployment('fixed full'),
      scaler: constant(1),
      pods: 1,
    });
    // 20 s at 5 per second.
    expect(summary.requests * (1 - summary.shed)).toBeCloseTo(100, 0);
    expect(summary.p99).toBeLessThanOrEqual(20_000);
  });

  it('keeps the first request of a sleeping service until a pod has loaded what its tier needs', () => {
    const times = Float64Array.of(101);
    const scaler: PodScaler = { every: 2, choices: 1, decide: (now) => (now > 100 && now < 200 ? 1 : 0) };
    const latency = (own: Deployment) =>
      simulatePods({ ...pods, times, deployment: own, scaler, pods: 0 }).summary;
    // Asked for at 102 s; then the start, then the level that is there.
    const elastic = latency(deployment('elastic'));
    expect(elastic.p50).toBeCloseTo(1000 * (1 + POD_START_SECONDS + 1 + 0.1), 6);
    expect(elastic.fidelity).toBe(0.9);
    const high = latency(deployment('elastic', { floor: { fidelity: 0.95 } }));
    expect(high.p50).toBeCloseTo(1000 * (1 + POD_START_SECONDS + 2 + 0.2), 6);
    expect(latency(deployment('fixed full')).p50).toBeCloseTo(1000 * (1 + POD_START_SECONDS + 3 + 0.2), 6);
  });
});

describe('a day on functions', () => {
  const run = (times: readonly number[], reserved?: number, own = deployment('elastic')) =>
    simulateFunctions({
      times: Float64Array.from(times),
      deployment: own,
      wanted,
      memoryMb: 1024,
      reserved,
      provisioned: undefined,
    }).summary;

  it('starts an environment for each request that finds none idle, and keeps it for the next', () => {
    const cold = 1000 * (SANDBOX_SECONDS + 1 + 0.1);
    expect(run([10]).p50).toBeCloseTo(cold, 6);
    const { most, p50 } = run([10, 10, 100, 200, 300]);
    expect(most).toBe(2);
    // The environment is frozen between invocations: it has run for 1.1, 1.2 and 1.3 s, and the whole takes 2 s.
    expect(p50).toBeCloseTo(100, 6);
    expect(run([10, 100, 100 + 2 * IDLE_SECONDS]).p50).toBeCloseTo(cold, 6);
  });

  it('refuses what is more than the reserved concurrency', () => {
    expect(run([10, 10, 10], 2)).toMatchObject({ requests: 3, most: 2 });
    expect(run([10, 10, 10], 2).shed).toBeCloseTo(1 / 3, 9);
  });
});

describe('a trace', () => {
  const traffic = { peak: 1, night: 0.2, peakHour: 12, bursts: [{ hour: 6, minutes: 10, factor: 3 }] };

  it('has its peak, its night and its burst', () => {
    expect(rateAt(traffic, 12 * 3600)).toBeCloseTo(1, 9);
    expect(rateAt(traffic, 0)).toBeCloseTo(0.2, 9);
    expect(rateAt(traffic, 6 * 3600 - 1)).toBeCloseTo(0.6, 3);
    expect(rateAt(traffic, 6 * 3600)).toBeCloseTo(1.8, 3);
  });

  it('has as many arrivals as its rates add up to, the same for the same seed', () => {
    const times = arrivals(traffic, 3);
    // The mean rate is 0.6; the burst adds 2 x 0.6 for 600 s.
    const expected = 0.6 * DAY_SECONDS + 1.2 * 600;
    expect(Math.abs(times.length - expected)).toBeLessThan(4 * Math.sqrt(expected));
    expect(times.every((at, index) => at >= (times[index - 1] ?? 0) && at < DAY_SECONDS)).toBe(true);
    expect(arrivals(traffic, 3)).toEqual(times);
  });
});

it('events happen in the order of their times, then of their coming', () => {
  const events = new Events<string>();
  for (const [at, what] of [
    [3, 'c'],
    [1, 'a'],
    [2, 'b'],
    [1, 'a2'],
    [3, 'c2'],
  ] as const)
    events.add(at, what);
  const order: (string | undefined)[] = [];
  while (events.next < Number.POSITIVE_INFINITY) order.push(events.take());
  expect(order).toEqual(['a', 'a2', 'b', 'c', 'c2']);
});

it('the committed inputs are levels that get slower and truer, and starts that end', () => {
  const { levels, coldStart } = readInputs();
  for (const [index, { share, fidelity, end }] of levels.entries()) {
    const before = levels[index - 1];
    if (!before) continue;
    expect([share > before.share, fidelity > before.fidelity, end >= before.end]).toEqual([true, true, true]);
  }
  for (const { first, all } of [coldStart.elastic, coldStart.fixed])
    expect(all).toBeGreaterThanOrEqual(first);
});
