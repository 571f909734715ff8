import { describe, expect, it } from 'vitest';
import { KedaAutoscaler, type KedaOptions } from '../../../bench/autoscale/keda.ts';

const scaler = (options: Partial<KedaOptions> = {}) =>
  new KedaAutoscaler({ threshold: 75, min: 1, max: 100, ...options });

describe("KEDA's HorizontalPodAutoscaler", () => {
  it('asks for 60 pods where 50 have 90 each and 75 are wanted', () => {
    // The example of Kubernetes' announcement of the configurable tolerance: 50 x 90 / 75.
    expect(scaler().decide(0, 50 * 90, 50)).toBe(60);
  });

  it('leaves pods alone within a tenth of the target', () => {
    expect(scaler().decide(0, 50 * 82, 50)).toBe(50);
    expect(scaler().decide(0, 50 * 68, 50)).toBe(50);
    expect(scaler().decide(0, 50 * 83, 50)).toBe(56);
  });

  it('adds four pods or as many as there are at a time, whichever is more', () => {
    expect(scaler({ threshold: 1 }).decide(0, 60, 1)).toBe(5);
    expect(scaler({ threshold: 1 }).decide(0, 60, 20)).toBe(40);
    expect(scaler({ threshold: 1 }).decide(0, 60, 40)).toBe(60);
  });

  it('takes pods away only when nothing in five minutes has asked for more', () => {
    const own = scaler({ threshold: 1 });
    expect(own.decide(0, 10, 10)).toBe(10);
    expect(own.decide(150, 4, 10)).toBe(10);
    expect(own.decide(300, 2, 10)).toBe(10);
    expect(own.decide(301, 2, 10)).toBe(4);
    expect(own.decide(451, 2, 4)).toBe(2);
  });

  it('stays within its bounds', () => {
    expect(scaler({ threshold: 1, max: 8 }).decide(0, 60, 7)).toBe(8);
    expect(scaler({ threshold: 1, min: 2 }).decide(0, 0, 2)).toBe(2);
  });
});
