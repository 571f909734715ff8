import { describe, expect, it } from 'vitest';
import { LatencyProfile, StoredProfileSchema } from '../../src/budget/index.ts';
import { normal } from '../support/normal.ts';

function measured(): LatencyProfile {
  const profile = new LatencyProfile();
  profile.measure(0, 'fp32', 1, [10, 12, 11, 10.5, 30]);
  profile.measure(1, 'fp32', 1, [20, 20, 20]);
  return profile;
}

describe('the latency profile', () => {
  it('starts with the median and the 95th percentile of warm-up, by level, precision and batch', () => {
    const profile = measured();
    expect(profile.predict(0, 'fp32')).toBe(11);
    expect(profile.predict(0, 'int8')).toBeUndefined();
    expect(profile.predict(0, 'fp32', 8)).toBeUndefined();
    expect(profile.entries()[0]).toEqual({
      level: 0,
      precision: 'fp32',
      batch: 1,
      median: 11,
      p95: expect.closeTo(30, 9),
    });
  });

  it('follows a machine that has become 1.5 times slower, and expects it of levels that nobody asked for', () => {
    const profile = measured();
    for (let i = 0; i < 100; i++) profile.observe(1, 'fp32', 1, 30);
    expect((profile.predict(1, 'fp32') ?? 0) / 30).toBeCloseTo(1, 2);
    // Otherwise it would seem faster than the levels that do run, and be chosen for that.
    expect(profile.predict(0, 'fp32')).toBeGreaterThan(14);
  });

  it('is not moved by a hiccup: one request a hundred times too slow changes it by less than a tenth', () => {
    const profile = measured();
    profile.observe(1, 'fp32', 1, 2000);
    expect(profile.predict(1, 'fp32')).toBeLessThan(22);
    expect((profile.upper(1, 'fp32') ?? 0) / 20).toBeLessThan(1.4);
  });

  it.each([0.05, 0.2, 0.4])('knows the time that 95 of 100 requests stay within (scatter %d)', (sigma) => {
    const random = normal(3);
    const profile = measured();
    let [above, off] = [0, 0];
    for (let i = 0; i < 6000; i++) {
      const ms = 20 * Math.exp(sigma * random());
      if (i >= 1000) {
        if (ms > (profile.upper(1, 'fp32') ?? 0)) above++;
        // The median of a log-normal time is 20 ms, whatever its scatter.
        if (Math.abs((profile.predict(1, 'fp32') ?? 0) / 20 - 1) > 0.2) off++;
      }
      profile.observe(1, 'fp32', 1, ms);
    }
    expect(above / 5000).toBeGreaterThan(0.03);
    expect(above / 5000).toBeLessThan(0.07);
    expect(off / 5000).toBeLessThan(0.1);
  });

  it('goes on where it stopped when it is stored and read again', () => {
    const profile = measured();
    for (let i = 0; i < 50; i++) profile.observe(1, 'fp32', 1, 24 + (i % 5));
    const stored = { version: 1, fingerprint: 'here', entries: profile.entries() };
    const { entries } = StoredProfileSchema.parse(JSON.parse(JSON.stringify(stored)));
    const next = new LatencyProfile(entries);
    for (const level of [0, 1]) {
      expect(next.predict(level, 'fp32')).toBeCloseTo(profile.predict(level, 'fp32') ?? 0, 9);
      expect(next.upper(level, 'fp32')).toBeCloseTo(profile.upper(level, 'fp32') ?? 0, 9);
    }
  });
});
