import { describe, expect, it } from 'vitest';
import type { Budget } from '../../src/budget/index.ts';
import { isProblem, Problem } from '../../src/problem/index.ts';
import { type DecodeWork, OPEN_TIERS, parseTiers, Scheduler } from '../../src/serving/index.ts';
import { normal } from '../support/normal.ts';
import { loadSimulated, SimulatedClock, simulatedModel } from '../support/simulation.ts';
import { uniform } from '../support/tiny-vit.ts';

/** FLOP share, fidelity, ms on one core: a ViT-Ti's ladder. */
const LEVELS = [
  [0.3, 0.7, 11],
  [0.4, 0.85, 14],
  [0.5, 0.93, 17],
  [0.6, 0.97, 21],
  [0.7, 0.99, 25],
  [0.8, 0.996, 29],
  [0.9, 0.999, 33],
  [1, 1, 38],
] as const;
const FULL = LEVELS.length - 1;
const DECODE_MS = 7;
const TARGET = 200;
const SECONDS = 20;

const term = (value: number, strict = false) => ({ value, strict });

interface Outcome {
  readonly status: 'answered' | 'refused';
  readonly took: number;
  readonly fidelity: number;
}

/** One core: while a picture is decoded no network runs. */
async function machine(levels: Parameters<typeof simulatedModel>[0]['levels'] = LEVELS, noise = () => 1) {
  const clock = new SimulatedClock();
  const { model, runs } = simulatedModel({ clock, levels, noise });
  await loadSimulated(model, clock);
  runs.length = 0;
  const decoded: number[] = [];
  const picture = (name: number, predicted: number, takes = predicted, apart = false): DecodeWork => ({
    predicted,
    apart,
    async decode(signal) {
      decoded.push(name);
      await clock.sleep(takes);
      signal?.throwIfAborted();
      return Float32Array.of(name);
    },
  });
  return { clock, model, runs, decoded, picture };
}

/** Poisson arrivals of JPEGs with a target and a deadline twice as long. */
async function drive(offered: number, fixedLevel?: number): Promise<Outcome[]> {
  const next = uniform(5);
  const random = () => Math.max(1e-9, (next() + 1) / 2);
  const gauss = normal(6);
  const { clock, model, picture } = await machine(LEVELS, () => Math.exp(0.1 * gauss()));
  const scheduler = new Scheduler(OPEN_TIERS, clock);
  const outcomes: Promise<Outcome>[] = [];
  const arrivals = (async () => {
    for (let i = 0; ; i++) {
      await clock.sleep((-Math.log(random()) * 1000) / offered);
      const arrived = clock.now();
      if (arrived > 1000 * SECONDS) return;
      const budget: Budget = {
        latency: term(TARGET),
        deadline: term(2 * TARGET),
        ...(fixedLevel !== undefined && { level: term(fixedLevel) }),
      };
      const pixels = picture(i, DECODE_MS, DECODE_MS * Math.exp(0.3 * gauss()));
      outcomes.push(
        scheduler
          .embed({ model, pixels, budget, tier: 'open', firstByte: arrived, bodyComplete: arrived })
          .then(
            ({ plan }): Outcome => ({
              status: 'answered',
              took: clock.now() - arrived,
              fidelity: plan.fidelity,
            }),
            (): Outcome => ({ status: 'refused', took: clock.now() - arrived, fidelity: 0 }),
          ),
      );
    }
  })();
  await clock.run();
  await arrivals;
  return await Promise.all(outcomes);
}

const answers = (outcomes: readonly Outcome[]) => outcomes.filter(({ status }) => status === 'answered');
const goodput = (outcomes: readonly Outcome[]) =>
  answers(outcomes).filter(({ took }) => took <= 1.1 * TARGET).length / SECONDS;
const p99 = (outcomes: readonly Outcome[]) => {
  const sorted = outcomes.map(({ took }) => took).sort((a, b) => a - b);
  return sorted[Math.ceil(0.99 * sorted.length) - 1] ?? Number.NaN;
};
/** Requests a second that one core serves at the full network. */
const CAPACITY = 1000 / (DECODE_MS + 38);

describe('overload by pictures that are still to be decoded', () => {
  it('costs no fidelity to speak of at half the capacity', async () => {
    const outcomes = await drive(0.5 * CAPACITY);
    expect(answers(outcomes)).toHaveLength(outcomes.length);
    const mean = outcomes.reduce((sum, { fidelity }) => sum + fidelity, 0) / outcomes.length;
    expect(mean).toBeGreaterThan(0.999);
  });

  it('at twice the capacity answers nearly all that the smallest level alone would, and twice what the full one does', async () => {
    const elastic = goodput(await drive(2 * CAPACITY));
    expect(elastic / goodput(await drive(2 * CAPACITY, 0))).toBeGreaterThan(0.95);
    // Nobody can answer more than is asked: 2 is what there is, less what the full network alone misses.
    expect(elastic / goodput(await drive(2 * CAPACITY, FULL))).toBeGreaterThan(1.9);
  });

  it('at four times answers what the machine can do, not less than at twice', async () => {
    const most = 1000 / (DECODE_MS + LEVELS[0][2]);
    expect(goodput(await drive(4 * CAPACITY)) / most).toBeGreaterThan(0.9);
  });

  it.each([0.5, 1, 2, 4])(
    'at %d times keeps 99 of 100 answers within 1.1 of the target, and refuses at once',
    async (load) => {
      const outcomes = await drive(load * CAPACITY);
      expect(p99(answers(outcomes))).toBeLessThan(1.1 * TARGET);
      // In simulated time: nothing was waited for, and nothing decoded. The few that are given up in the queue were mispredicted.
      const refused = outcomes.filter(({ status }) => status === 'refused');
      expect(refused.filter(({ took }) => took > 0).length).toBeLessThanOrEqual(0.02 * refused.length);
    },
  );
});

describe('a picture that waits to be decoded', () => {
  const levels = [
    [0.25, 0.7, 10],
    [1, 1, 40],
  ] as const;

  async function start(tiers = OPEN_TIERS) {
    const { clock, model, runs, decoded, picture } = await machine(levels);
    const scheduler = new Scheduler(tiers, clock);
    const send = (
      pixels: DecodeWork,
      budget: Budget = {},
      { signal, tier = 'open' }: { signal?: AbortSignal; tier?: string } = {},
    ) => {
      const arrived = clock.now();
      const request = { model, pixels, budget, tier, firstByte: arrived, bodyComplete: arrived };
      return scheduler.embed({ ...request, ...(signal && { signal }) }).then(
        ({ plan, queued, decoded, inferred }) => ({ level: plan.level, queued, decoded, inferred }),
        (error: unknown) => {
          if (isProblem(error)) return { code: error.code, took: clock.now() - arrived };
          throw error;
        },
      );
    };
    return { clock, runs, decoded, picture, send };
  }

  it('is decoded when it has its turn, and not beside another one that has the core', async () => {
    const { clock, send, picture } = await start();
    const both = [send(picture(0, 5)), send(picture(1, 5))];
    await clock.run();
    expect(await Promise.all(both)).toEqual([
      { level: 1, queued: 0, decoded: 5, inferred: 40 },
      { level: 1, queued: 45, decoded: 5, inferred: 40 },
    ]);
  });

  it('is decoded in the order in which answers are due', async () => {
    const { clock, send, picture, decoded } = await start();
    const all = [
      send(picture(0, 5)),
      send(picture(1, 5)),
      send(picture(2, 5), { latency: term(900) }),
      send(picture(3, 5), { latency: term(500) }),
    ];
    await clock.run();
    await Promise.all(all);
    expect(decoded).toEqual([0, 3, 2, 1]);
  });

  it('counts decoding against the target: the level that is left room for is run', async () => {
    const { clock, send, picture } = await start();
    const quick = send(picture(0, 5), { latency: term(50) });
    await clock.run();
    const slow = send(picture(1, 20), { latency: term(50) });
    await clock.run();
    expect(await quick).toMatchObject({ level: 1 });
    expect(await slow).toMatchObject({ level: 0 });
  });

  it('is planned anew when decoding took longer than expected', async () => {
    const { clock, send, picture, runs } = await start();
    const late = send(picture(0, 5, 30), { latency: term(60) });
    await clock.run();
    expect(await late).toMatchObject({ level: 0, decoded: 30 });
    const worthless = send(picture(1, 5, 100), { deadline: term(90) });
    await clock.run();
    expect(await worthless).toMatchObject({ code: 'deadline-exceeded' });
    expect(runs.map(({ name }) => name)).toEqual([0]);
  });

  it('is not decoded when it is refused, its caller has left, or its deadline has passed', async () => {
    const { clock, send, picture, decoded, runs } = await start();
    const caller = new AbortController();
    const [first, refused, left, expired] = [
      send(picture(0, 5, 60)),
      send(picture(1, 5), { deadline: term(30) }),
      send(picture(2, 5), {}, { signal: caller.signal }),
      send(picture(3, 5), { deadline: term(80) }),
    ];
    await clock.run(1);
    caller.abort();
    await clock.run();
    expect(await refused).toMatchObject({ code: 'overloaded', took: 0 });
    expect(await left).toMatchObject({ code: 'client-closed-request' });
    expect(await expired).toMatchObject({ code: 'deadline-exceeded' });
    expect(await first).toMatchObject({ decoded: 60 });
    expect(decoded).toEqual([0]);
    expect(runs.map(({ name }) => name)).toEqual([0]);
  });

  it('is not run when its caller leaves while it is decoded', async () => {
    const { clock, send, picture, runs } = await start();
    const caller = new AbortController();
    const left = send(
      { ...picture(0, 5), decode: () => clock.sleep(5).then(() => new Float32Array(1)) },
      {},
      { signal: caller.signal },
    );
    await clock.run(1);
    caller.abort();
    await clock.run();
    expect(await left).toMatchObject({ code: 'client-closed-request' });
    expect(runs).toEqual([]);
  });

  it('and fails, fails alone', async () => {
    const { clock, send, picture } = await start();
    const broken: DecodeWork = {
      predicted: 5,
      apart: false,
      decode: () => Promise.reject(new Problem('undecodable-image', 'No picture.')),
    };
    const both = [send(broken), send(picture(1, 5))];
    await clock.run();
    expect(await Promise.all(both)).toMatchObject([{ code: 'undecodable-image' }, { level: 1 }]);
  });

  describe('and is too much for the gateway itself', () => {
    it('keeps nobody waiting: it takes no worker, and one is decoded at a time', async () => {
      const { clock, send, picture, decoded } = await start();
      const large = [send(picture(0, 1000, 1000, true)), send(picture(1, 1000, 1000, true))];
      const small = send(picture(2, 5), { latency: term(50) });
      await clock.run();
      expect(await small).toMatchObject({ queued: 0, level: 1 });
      expect(await Promise.all(large)).toMatchObject([{ decoded: 1000 }, { decoded: 2000 }]);
      expect(decoded.indexOf(1)).toBe(2);
    });

    it('is given up when its deadline passes or its caller leaves, and refused at once when there is no time for it', async () => {
      const { clock, send, picture, decoded } = await start();
      const caller = new AbortController();
      const all = [
        send(picture(0, 100, 5000, true), { deadline: term(500) }),
        send(picture(1, 100, 5000, true), {}, { signal: caller.signal }),
        send(picture(2, 400, 400, true), { deadline: term(450) }),
        send(picture(3, 100, 100, true)),
      ];
      await clock.run(700);
      caller.abort();
      await clock.run();
      expect(await Promise.all(all)).toMatchObject([
        { code: 'deadline-exceeded', took: 500 },
        { code: 'client-closed-request', took: 700 },
        { code: 'overloaded', took: 0 },
        { level: 1 },
      ]);
      expect(decoded).toEqual([0, 1, 3]);
    });

    it('shares with other tiers by weight, and waits in bounded number', async () => {
      const tiers = parseTiers({ tiers: { free: { queue: 1000 }, paid: { weight: 10 } } });
      const { clock, send, picture, decoded } = await start(tiers);
      const flood = Array.from({ length: 70 }, (_, i) =>
        send(picture(i, 100, 100, true), {}, { tier: 'free' }),
      );
      await clock.run(0);
      // One is decoded and 64 wait.
      expect(await Promise.all(flood.slice(65))).toMatchObject(
        Array(5).fill({ code: 'tier-saturated', took: 0 }),
      );
      await clock.run(110);
      const paid = [100, 101, 102].map((name) => send(picture(name, 100, 100, true), {}, { tier: 'paid' }));
      await clock.run(450);
      await Promise.all(paid);
      expect(decoded.slice(0, 5)).toEqual([0, 1, 100, 101, 102]);
      await clock.run();
      await Promise.all(flood);
    });
  });
});
