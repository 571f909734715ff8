import { describe, expect, it } from 'vitest';
import { KnativeAutoscaler, type KnativeOptions } from '../../../bench/autoscale/knative.ts';

function steady(options: Partial<KnativeOptions> & { target: number }, concurrency: number, seconds = 60) {
  const autoscaler = new KnativeAutoscaler({ min: 0, max: 100, ...options });
  for (let second = 1; second <= seconds; second++) autoscaler.observe(second, concurrency);
  return autoscaler;
}

describe("Knative's autoscaler", () => {
  it('asks for 15 pods for 100 concurrent requests at a target of 10 and 70 %', () => {
    // Alibaba Cloud's documentation of KPA: 100 / (10 x 0.7), rounded up. Ten pods are ready, so that nothing panics.
    const autoscaler = steady({ target: 10 }, 100);
    expect(autoscaler.decide(60, 10)).toBe(15);
    expect(autoscaler.panicking).toBe(false);
  });

  it('grows beyond what its rate would round down to', () => {
    // The example in the autoscaler's source: rate 1.1, concurrency 3, two ready pods, target 1: ceil(2.2) = 3 pods.
    expect(steady({ target: 1, utilization: 1, maxScaleUp: 1.1 }, 3).decide(60, 2)).toBe(3);
  });

  it('panics when the last six seconds ask for twice the pods, and does not shrink meanwhile', () => {
    const autoscaler = steady({ target: 1, utilization: 1 }, 1, 54);
    for (let second = 55; second <= 60; second++) autoscaler.observe(second, 8);
    // Stable: (54 + 48) / 60 = 1.7, two pods; panic: 8.
    expect(autoscaler.decide(60, 1)).toBe(8);
    expect(autoscaler.panicking).toBe(true);
    for (let second = 61; second <= 110; second++) autoscaler.observe(second, 1);
    expect(autoscaler.decide(110, 8)).toBe(8);
    for (let second = 111; second <= 121; second++) autoscaler.observe(second, 1);
    // More than a stable window after the last time over the threshold; at most half of the pods go at once.
    expect(autoscaler.decide(121, 8)).toBe(4);
    expect(autoscaler.panicking).toBe(false);
  });

  it('sleeps after a stable window without requests, unless it must not', () => {
    expect(steady({ target: 1 }, 0).decide(60, 1)).toBe(0);
    expect(steady({ target: 1, min: 2 }, 0).decide(60, 2)).toBe(2);
    expect(steady({ target: 1 }, 0.1).decide(60, 1)).toBe(1);
  });

  it('waits before it shrinks where it is told to', () => {
    const autoscaler = steady({ target: 1, utilization: 1, scaleDownDelay: 30 }, 4);
    expect(autoscaler.decide(60, 4)).toBe(4);
    for (let second = 61; second <= 121; second++) autoscaler.observe(second, 3);
    expect(autoscaler.decide(88, 4)).toBe(4);
    expect(autoscaler.decide(120, 4)).toBe(3);
  });

  it('never asks for more than its maximum', () => {
    expect(steady({ target: 1, max: 7 }, 50).decide(60, 5)).toBe(7);
  });
});
