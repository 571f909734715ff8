import { describe, expect, it } from 'vitest';
import { TargetTracking } from '../../../bench/autoscale/lambda.ts';
import { scheduledMinimum } from '../../../bench/autoscale/platforms.ts';
import {
  onDemandCost,
  onProvisionedCost,
  podCost,
  provisionedCost,
} from '../../../bench/autoscale/prices.ts';

const tracking = (min = 2, max = 40) =>
  new TargetTracking({ target: 0.7, scaleInCooldown: 300, bounds: () => ({ min, max }) });

/** One decision a minute. */
function minutes(own: TargetTracking, utilizations: readonly number[], current: number, from = 1): number[] {
  return utilizations.map((utilization, index) => own.decide((from + index) * 60, utilization, current));
}

describe('target tracking of provisioned concurrency', () => {
  it('adds environments in proportion after three minutes above the target', () => {
    // 10 x 0.91 / 0.7 = 13.
    expect(minutes(tracking(), [0.91, 0.91, 0.91], 10)).toEqual([10, 10, 13]);
    expect(minutes(tracking(), [0.91, 0.69, 0.91, 0.91], 10)).toEqual([10, 10, 10, 10]);
  });

  it('takes environments away after fifteen minutes below, and waits before it does so again', () => {
    const own = tracking();
    // 10 x 0.35 / 0.7 = 5.
    const low = minutes(own, new Array(15).fill(0.35), 10);
    expect(low).toEqual([...new Array(14).fill(10), 5]);
    expect(minutes(own, [0.35, 0.35, 0.35, 0.35, 0.35], 5, 16)).toEqual([5, 5, 5, 5, 3]);
  });

  it('leaves a utilization near its target alone', () => {
    expect(minutes(tracking(), new Array(30).fill(0.65), 10)).toEqual(new Array(30).fill(10));
  });

  it('stays within bounds that a schedule may move', () => {
    expect(minutes(tracking(2, 12), [1, 1, 1], 10)).toEqual([10, 10, 12]);
    const schedule = [
      { cron: '0 6 ? * MON-FRI *', min: 6 },
      { cron: '30 20 * * ? *', min: 2 },
    ];
    const at = (hour: number) => scheduledMinimum(schedule, hour * 3600);
    expect([0, 5.9, 6, 12, 20.4, 20.5, 23].map(at)).toEqual([2, 2, 6, 6, 6, 2, 2]);
    expect(scheduledMinimum([], 0)).toBeUndefined();
  });
});

describe('prices', () => {
  it("are added up as AWS's own examples are", () => {
    // Lambda's page: 3 million requests of 1 s with 512 MB are 1.5 million GB-s, 25.00 USD, and 0.60 USD for the requests.
    expect(3e6 * onDemandCost(512, 1)).toBeCloseTo(25 + 0.6, 1);
    // Its example of provisioned concurrency: 1000 environments of 1 GB for two hours are 7.2 million GB-s, 30.00 USD;
    // 1.2 million executions of a second on it are 1.2 million GB-s, 11.67 USD, and 0.24 USD.
    expect(1000 * provisionedCost(1024, 7200)).toBeCloseTo(30, 2);
    expect(1.2e6 * onProvisionedCost(1024, 1)).toBeCloseTo(11.67 + 0.24, 1);
    // Fargate: one core and 4 GB for 730 hours, about 42 USD in March 2026.
    expect(podCost(1, 4096, 730 * 3600)).toBeCloseTo(42.53, 1);
  });
});
