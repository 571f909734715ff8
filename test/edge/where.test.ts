import { beforeAll, describe, expect, it } from 'vitest';
import type { Budget } from '../../src/budget/index.ts';
import type { Manifest } from '../../src/checkpoint/index.ts';
import { elsewhere } from '../../src/edge/elsewhere.ts';
import { type Work, where } from '../../src/edge/where.ts';
import { parseTiers, ServedModel } from '../../src/serving/index.ts';
import { picture } from '../support/pictures.ts';
import { loadSimulated, SimulatedClock, simulatedModel } from '../support/simulation.ts';

/** 10, 20, 40 ms. */
const LEVELS = [
  [0.25, 0.7, 10],
  [0.5, 0.9, 20],
  [1, 1, 40],
] as const;
const term = (value: number, strict = false) => ({ value, strict });

describe('where a Worker has a request answered', () => {
  let whole: ServedModel;
  let short: ServedModel;
  let nothing: ServedModel;
  let png: Uint8Array;
  let gif: Uint8Array;

  beforeAll(async () => {
    const clock = new SimulatedClock();
    whole = simulatedModel({ clock, levels: LEVELS }).model;
    await loadSimulated(whole, clock);
    const { config, ladder, engine } = whole;
    const manifest = { config, ladder } as unknown as Manifest; // all that a served model reads of it
    short = new ServedModel(
      'short',
      'digest',
      manifest,
      { ...engine, variants: engine.variants.slice(0, 2) },
      clock,
      whole.profile,
    );
    nothing = new ServedModel('nothing', 'digest', manifest, elsewhere(manifest), clock, whole.profile);
    png = await picture('#123456', { width: 40, height: 30 });
    gif = await picture('#123456', { format: 'gif' });
  });

  const { open, quick, low } = parseTiers({
    tiers: { open: {}, quick: { latency: 15 }, low: { ceiling: { fidelity: 0.9 } } },
  });

  const decide = (budget: Budget = {}, more: Partial<Work> = {}) => {
    if (!open) throw new Error('there is no tier');
    const usual = { model: whole, tier: open, pictures: [png], maxPixels: 1200, uploaded: 0, elapsed: 3 };
    return where({
      declared: 100,
      bodyBytes: 1000,
      work: { ...usual, budget, refusal: undefined, ...more },
    });
  };

  it('is decided by the size before the body has been read', () => {
    expect(where({ declared: 1001, bodyBytes: 1000 })).toBe('size');
    expect(where({ declared: 1000, bodyBytes: 1000 })).toBe('here');
  });

  it('is here where the Worker has the model, decodes the picture and gives what is asked for', () => {
    expect(decide()).toBe('here');
    expect(decide({ latency: term(50), fidelity: term(0.9) })).toBe('here');
  });

  it('is the native gateway for a model that does not fit, whatever is asked for', () => {
    expect(decide({ level: term(0) }, { model: nothing })).toBe('model');
  });

  it('is the native gateway for a picture of another type, or one that is too large', () => {
    expect(decide({}, { pictures: [png, gif] })).toBe('picture');
    expect(decide({}, { maxPixels: 1199 })).toBe('picture');
    // What is no picture is refused here.
    expect(decide({}, { pictures: [Uint8Array.of(1, 2, 3)] })).toBe('here');
  });

  it('is the native gateway for levels that do not fit, as far as budget and tier allow them', () => {
    expect(decide({}, { model: short })).toBe('level');
    expect(decide({ level: term(2) }, { model: short })).toBe('level');
    expect(decide({ flops: term(0.5) }, { model: short })).toBe('here');
    if (low) expect(decide({}, { model: short, tier: low })).toBe('here');
  });

  it('is the native gateway for targets that no level meets here, of the caller or of the tier', () => {
    expect(decide({ latency: term(5) })).toBe('latency');
    expect(decide({ latency: term(14) }, { elapsed: 3 })).toBe('here');
    expect(decide({ latency: term(14) }, { elapsed: 5 })).toBe('latency');
    // The upload is not the server's time.
    expect(decide({ latency: term(14) }, { elapsed: 3, uploaded: 500 })).toBe('here');
    if (quick) expect(decide({ fidelity: term(0.9) }, { tier: quick })).toBe('latency');
  });

  it('is the native gateway for what load would refuse, and not for what no level satisfies', () => {
    for (const refusal of ['not-ready', 'overloaded', 'tier-saturated'] as const)
      expect(decide({}, { refusal })).toBe('load');
    expect(decide({ flops: term(0.1) }, { refusal: 'budget-unsatisfiable' })).toBe('here');
    expect(decide({}, { refusal: 'draining' })).toBe('here');
  });
});
