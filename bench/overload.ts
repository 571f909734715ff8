/**
 * Overload: open-loop arrivals at multiples of the full network's capacity, three tiers, elastic against always-full and
 * always-smallest on the same engine. `node bench/overload.ts [--quick] [--json]`
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Budget } from '../src/budget/index.ts';
import { openCheckpoint } from '../src/checkpoint/index.ts';
import { createOnnxModel } from '../src/engine/index.ts';
import { isProblem } from '../src/problem/index.ts';
import { prune } from '../src/pruning/index.ts';
import { createRandom } from '../src/pruning/random.ts';
import { parseTiers, Scheduler, ServedModel, systemClock } from '../src/serving/index.ts';
import { memoryStore } from '../src/storage/index.ts';
import { figure } from './line-plot.ts';
import { machine } from './machine.ts';
import { randomPixels } from './networks.ts';

const ROOT = join(import.meta.dirname, '..');
const LOADS = [0.5, 1, 2, 4] as const;
const POLICIES = ['elastic', 'always full', 'always smallest'] as const;
type Policy = (typeof POLICIES)[number];

/** Share of the traffic, and latency target as a multiple of the full network's time on an idle machine. */
const TRAFFIC = {
  free: { share: 0.5, target: 12 },
  standard: { share: 0.35, target: 10 },
  premium: { share: 0.15, target: 8 },
} as const;
type TierName = keyof typeof TRAFFIC;

const TIERS = parseTiers({
  tiers: {
    free: { default: true, weight: 1, queue: 256 },
    standard: { weight: 4, queue: 256 },
    premium: { weight: 16, queue: 256 },
  },
});

interface Outcome {
  readonly tier: TierName;
  /** From arrival to answer, ms; infinite for a refusal. */
  readonly took: number;
  readonly fidelity: number;
  readonly inTime: boolean;
}

interface Result {
  readonly policy: Policy;
  readonly arrivals: 'poisson' | 'bursty';
  readonly load: number;
  readonly offered: number;
  /** Answers within their target, per second. */
  readonly goodput: number;
  readonly inTime: number;
  readonly refused: number;
  /** Of what was answered in time. */
  readonly fidelity: number;
  readonly premiumP99: number;
  readonly premiumTarget: number;
}

/** Arrival times in ms. Bursty: half a second at 1.8 times the rate, half a second at 0.2 times, in turns. */
function arrivalTimes(
  kind: Result['arrivals'],
  perSecond: number,
  seconds: number,
  random: () => number,
): number[] {
  const times: number[] = [];
  for (let at = 0; at < seconds * 1000; ) {
    const factor = kind === 'poisson' ? 1 : at % 1000 < 500 ? 1.8 : 0.2;
    at += (-Math.log(1 - random()) * 1000) / (perSecond * factor);
    times.push(at);
  }
  return times;
}

function budgetOf(policy: Policy, target: number, top: number): Budget {
  // Every policy drops what has become worthless: a fixed one that does not would answer nothing in time beyond its capacity.
  const time = { latency: { value: target, strict: false }, deadline: { value: target, strict: false } };
  if (policy === 'elastic') return time;
  return { ...time, level: { value: policy === 'always full' ? top : 0, strict: false } };
}

async function drive(
  model: ServedModel,
  {
    policy,
    arrivals,
    load,
    seconds,
    fullMs,
    capacity,
  }: {
    policy: Policy;
    arrivals: Result['arrivals'];
    load: number;
    seconds: number;
    fullMs: number;
    capacity: number;
  },
): Promise<Result> {
  const generator = createRandom(42, 'arrivals');
  const random = () => generator.uniform();
  const times = arrivalTimes(arrivals, load * capacity, seconds, random);
  const scheduler = new Scheduler(TIERS, systemClock);
  const top = model.ladder.length - 1;
  const pixels = randomPixels(model.config, 1);
  const outcomes: Promise<Outcome>[] = [];
  const start = performance.now();
  for (const at of times) {
    while (performance.now() - start < at)
      await new Promise((done) =>
        setTimeout(done, Math.max(0, Math.min(2, at - (performance.now() - start)))),
      );
    const pick = random();
    const tier: TierName =
      pick < TRAFFIC.free.share
        ? 'free'
        : pick < TRAFFIC.free.share + TRAFFIC.standard.share
          ? 'standard'
          : 'premium';
    const target = TRAFFIC[tier].target * fullMs;
    // Open loop: the request arrived when it was due, however late this loop is.
    const arrived = start + at;
    outcomes.push(
      scheduler.embed({ model, pixels, budget: budgetOf(policy, target, top), tier, arrived }).then(
        ({ plan }) => {
          const took = performance.now() - arrived;
          return { tier, took, fidelity: plan.fidelity, inTime: took <= target };
        },
        (error: unknown) => {
          if (!isProblem(error)) throw error;
          return { tier, took: Number.POSITIVE_INFINITY, fidelity: 0, inTime: false };
        },
      ),
    );
  }
  const done = await Promise.all(outcomes);
  const good = done.filter(({ inTime }) => inTime);
  const premium = done.filter(({ tier }) => tier === 'premium').map(({ took }) => took);
  return {
    policy,
    arrivals,
    load,
    offered: done.length,
    goodput: good.length / seconds,
    inTime: good.length / done.length,
    refused: done.filter(({ took }) => took === Number.POSITIVE_INFINITY).length / done.length,
    fidelity: good.reduce((sum, { fidelity }) => sum + fidelity, 0) / Math.max(1, good.length),
    premiumP99: premium.sort((a, b) => a - b)[Math.floor(0.99 * (premium.length - 1))] ?? Number.NaN,
    premiumTarget: TRAFFIC.premium.target * fullMs,
  };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { quick: { type: 'boolean' }, json: { type: 'boolean' }, out: { type: 'string' } },
  });
  const seconds = values.quick ? 3 : 20;
  const store = memoryStore();
  const work = await mkdtemp(join(tmpdir(), 'concertina-overload-'));
  const assets = join(ROOT, 'assets');
  await prune({
    model: join(assets, 'sample-model'),
    images: join(assets, 'sample-images'),
    store,
    name: 'sample',
    work,
    recipe: values.quick ? 'quick' : 'best',
  });
  const checkpoint = await openCheckpoint(store, 'sample');
  const { config, ladder } = checkpoint.manifest;
  const engine = await createOnnxModel({ config, variants: ladder });
  const model = new ServedModel('sample', checkpoint.digest, checkpoint.manifest, engine, systemClock);
  const results: Result[] = [];
  try {
    await model.load(checkpoint.levels());
    // Capacity as it is, with all workers busy: images a second of the full network.
    const pixels = randomPixels(config, 1);
    const began = performance.now();
    const images = values.quick ? 200 : 2000;
    let next = 0;
    await Promise.all(
      Array.from({ length: 2 * engine.concurrency }, async () => {
        while (next++ < images) await engine.embed(pixels, 1, { level: ladder.length - 1 });
      }),
    );
    const capacity = (1000 * images) / (performance.now() - began);
    const fullMs = (1000 * engine.concurrency) / capacity;
    for (const arrivals of ['poisson', 'bursty'] as const)
      for (const load of LOADS)
        for (const policy of POLICIES) {
          const result = await drive(model, { policy, arrivals, load, seconds, fullMs, capacity });
          results.push(result);
          if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
          else
            process.stderr.write(
              `${arrivals} ${load}x ${policy}: ${(100 * result.inTime).toFixed(1)} % in time\n`,
            );
        }
    if (values.out !== undefined) await publish(values.out, results, capacity, fullMs, seconds);
  } finally {
    await model.retire();
    await rm(work, { recursive: true, force: true });
  }
}

async function publish(
  folder: string,
  results: readonly Result[],
  capacity: number,
  fullMs: number,
  seconds: number,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const find = (policy: Policy, arrivals: Result['arrivals'], load: number) =>
    results.find(
      (result) => result.policy === policy && result.arrivals === arrivals && result.load === load,
    );
  const rows = results.map((result) => {
    const full = find('always full', result.arrivals, result.load)?.goodput ?? Number.NaN;
    return `| ${[
      result.arrivals,
      `${result.load}x`,
      result.policy,
      result.goodput.toFixed(0),
      `**${(result.goodput / full).toFixed(2)}**`,
      `${(100 * result.inTime).toFixed(1)} %`,
      `${(100 * result.refused).toFixed(1)} %`,
      result.fidelity.toFixed(4),
      `${result.premiumP99 === Number.POSITIVE_INFINITY ? 'refused' : result.premiumP99.toFixed(1)} / ${result.premiumTarget.toFixed(1)}`,
    ].join(' | ')} |`;
  });
  const targets = Object.entries(TRAFFIC).map(
    ([tier, { share, target }]) =>
      `${tier} ${100 * share} % of the traffic, ${(target * fullMs).toFixed(0)} ms`,
  );
  await writeFile(
    join(folder, 'overload.md'),
    `# Overload

Made by \`node bench/overload.ts --out bench/results\`. ${machine()}
The sample model under \`best\`; ${engineLine(capacity, fullMs)} Each line is ${seconds} s of open-loop arrivals at a multiple of that
capacity, the same arrivals for every policy. Latency targets: ${targets.join('; ')}. Every policy drops what is past its target.
Goodput: answers within their target, per second. Bursty: 1.8 and 0.2 times the rate, half a second each, in turns.

![goodput and fidelity](overload.svg)

| arrivals | load | policy | goodput, 1/s | to always full | in time | refused | fidelity | premium p99 / target, ms |
|---|---|---|---|---|---|---|---|---|
${rows.join('\n')}
`,
  );
  const series = (arrivals: Result['arrivals'], pick: (result: Result) => number) =>
    POLICIES.map((policy) => ({
      name: policy,
      points: LOADS.map((load) => {
        const result = find(policy, arrivals, load);
        return [load, result ? pick(result) : 0] as const;
      }),
    }));
  const x = "load, multiples of the full network's capacity";
  await writeFile(
    join(folder, 'overload.svg'),
    figure([
      [
        { title: 'Poisson: answers in time', x, y: 'share', yMax: 1 },
        series('poisson', ({ inTime }) => inTime),
      ],
      [
        { title: 'Bursty: answers in time', x, y: 'share', yMax: 1 },
        series('bursty', ({ inTime }) => inTime),
      ],
      [
        { title: 'Poisson: fidelity of answers in time', x, y: 'mean fidelity', yMax: 1 },
        series('poisson', ({ fidelity }) => fidelity),
      ],
    ]),
  );
}

const engineLine = (capacity: number, fullMs: number): string =>
  `the full network serves ${capacity.toFixed(0)} images a second here (${fullMs.toFixed(1)} ms on each worker).`;

await main();
