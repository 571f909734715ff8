import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { LevelWeights } from '../src/checkpoint/index.ts';
import { createOnnxModel, type ElasticModel } from '../src/engine/index.ts';
import { keptUnits, networkTensors } from '../src/engine/network-tensors.ts';
import { EngineThread } from '../src/engine/onnx/worker-client.ts';
import { flops, fullVariant, type TensorMap, type Variant, type VitConfig } from '../src/vit/index.ts';
import { staticModel } from './engine-static.ts';
import { machine } from './machine.ts';
import { randomPixels, randomWeights, type Size, vitConfig } from './networks.ts';
import { median, spread } from './statistics.ts';

/** One line of the table. */
interface Measurement {
  readonly model: string;
  readonly contestant: string;
  /** FLOPs over those of the full network. */
  readonly flops: number;
  readonly median_ms: number;
  /** Distance between the quartiles over the median. */
  readonly spread: number;
  /** Median over the rounds of the time over the named peer's in the same round. */
  readonly ratio: number;
  readonly peer: string;
}

interface Contestant {
  readonly name: string;
  readonly variant: Variant;
  /** Names of contestants that it is compared with. */
  readonly peers: readonly string[];
  readonly run: () => Promise<unknown>;
}

/** The first request of a level on a worker, over the median of the later ones. */
interface FirstRequest {
  readonly level: string;
  readonly first_ms: number;
  readonly later_ms: number;
}

const HALF = 0.5;
const TIMEOUT_MS = 120_000;
const SESSION = { device: 'cpu', threads: 1 } as const;

/** Half of the FLOPs by units: half of the heads, and as many channels as still fit. */
function halfByUnits(config: VitConfig): Variant {
  const full = fullVariant(config);
  const heads = full.heads.map((count) => Math.floor(count / 2));
  for (let channels = config.channels; channels > 0; channels--) {
    const variant = { ...full, heads, channels: full.channels.map(() => channels) };
    if (flops(config, variant) <= HALF * flops(config, full)) return variant;
  }
  throw new RangeError('no number of channels is small enough');
}

/** Half of the FLOPs by tokens: nothing merged in the first two blocks, the same number in all others. */
function halfByTokens(config: VitConfig): Variant {
  const full = fullVariant(config);
  for (let r = 1; ; r++) {
    const variant = { ...full, merge: full.merge.map((_, block) => (block < 2 ? 0 : r)) };
    if (flops(config, variant) <= HALF * flops(config, full)) return variant;
  }
}

function increments(config: VitConfig, tensors: TensorMap, variants: readonly Variant[]): LevelWeights[] {
  const { units, shared } = networkTensors(config);
  return variants.map((variant, level) => {
    const before = variants[level - 1];
    const rows = units.map((tensor) => {
      const [first, last] = [before ? keptUnits(tensor, before) : 0, keptUnits(tensor, variant)];
      const { shape, data } = tensors.get(tensor.name) ?? { shape: [], data: new Float32Array() };
      const own = data.slice(first * tensor.rowLength, last * tensor.rowLength);
      return [tensor.name, { shape: [last - first, ...shape.slice(1)], data: own }] as const;
    });
    return {
      level,
      shared: new Map(level === 0 ? [...tensors].filter(([name]) => shared.has(name)) : []),
      increments: new Map(rows),
      corrections: new Map(),
    };
  });
}

async function startStatic(config: VitConfig, tensors: TensorMap, variant: Variant): Promise<EngineThread> {
  const worker = new EngineThread(TIMEOUT_MS);
  const model = staticModel(config, tensors, variant);
  await worker.send({ kind: 'open', session: 'static', ...model, options: SESSION });
  return worker;
}

/** Runs every contestant once a round, so that what disturbs the machine disturbs them alike. */
async function race(
  config: VitConfig,
  contestants: readonly Contestant[],
  rounds: number,
): Promise<Measurement[]> {
  const times = new Map(contestants.map(({ name }) => [name, [] as number[]]));
  for (const { run } of contestants) await run();
  for (let round = 0; round < rounds; round++) {
    for (const { name, run } of contestants) {
      const began = performance.now();
      await run();
      times.get(name)?.push(performance.now() - began);
    }
  }
  const full = flops(config, fullVariant(config));
  const of = (name: string) => times.get(name) ?? [];
  return contestants.flatMap(({ name, variant, peers }) =>
    peers.map((peer) => ({
      model: config.architecture,
      contestant: name,
      flops: flops(config, variant) / full,
      median_ms: median(of(name)),
      spread: spread(of(name)),
      ratio: median(of(name).map((time, round) => time / (of(peer)[round] ?? Number.NaN))),
      peer,
    })),
  );
}

async function firstRequests(
  model: ElasticModel,
  weights: readonly LevelWeights[],
  names: readonly string[],
  pixels: Float32Array,
): Promise<FirstRequest[]> {
  const found: FirstRequest[] = [];
  for (const [level, increment] of weights.entries()) {
    await model.install(increment);
    const times: number[] = [];
    for (let run = 0; run < 6; run++) {
      const began = performance.now();
      await model.embed(pixels, 1, { level });
      times.push(performance.now() - began);
    }
    const [first = Number.NaN, ...later] = times;
    found.push({ level: names[level] ?? `${level}`, first_ms: first, later_ms: median(later) });
  }
  return found;
}

async function benchmark(size: Size, rounds: number) {
  const config = vitConfig(size);
  const tensors = randomWeights(config);
  const pixels = randomPixels(config, 1);
  const full = fullVariant(config);
  const variants = [halfByUnits(config), halfByTokens(config), full];
  const names = ['half by units', 'half by tokens', 'full'];
  const model = await createOnnxModel({ config, variants, device: 'cpu', workers: 1 });
  const workers = [
    await startStatic(config, tensors, full),
    await startStatic(config, tensors, variants[0] ?? full),
  ];
  try {
    const first = await firstRequests(model, increments(config, tensors, variants), names, pixels);
    const { imageSize } = config;
    const input = { pixels: { type: 'float32', dims: [1, 3, imageSize, imageSize], data: pixels } } as const;
    const fixed = (index: number) => () => workers[index]?.run('static', null, input) ?? Promise.reject();
    const elastic = (level: number) => () => model.embed(pixels, 1, { level });
    const [units = full, tokens = full] = variants;
    const contestants: Contestant[] = [
      { name: 'static, full', variant: full, peers: ['static, full'], run: fixed(0) },
      { name: 'elastic, full', variant: full, peers: ['static, full'], run: elastic(2) },
      { name: 'static, half by units', variant: units, peers: ['static, full'], run: fixed(1) },
      {
        name: 'elastic, half by units',
        variant: units,
        peers: ['static, half by units', 'elastic, full'],
        run: elastic(0),
      },
      { name: 'elastic, half by tokens', variant: tokens, peers: ['elastic, full'], run: elastic(1) },
    ];
    return { first, measurements: await race(config, contestants, rounds) };
  } finally {
    await model.dispose();
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

function table(measurements: readonly Measurement[]): string {
  const head =
    '| model | contestant | FLOPs | median, ms | spread | ratio | to |\n|---|---|---|---|---|---|---|';
  const rows = measurements.map((m) => {
    const numbers = [
      m.flops.toFixed(2),
      m.median_ms.toFixed(1),
      m.spread.toFixed(2),
      `**${m.ratio.toFixed(3)}**`,
    ];
    return `| ${m.model} | ${m.contestant} | ${numbers.join(' | ')} | ${m.peer} |`;
  });
  return [head, ...rows].join('\n');
}

const { values } = parseArgs({ options: { quick: { type: 'boolean' }, json: { type: 'boolean' } } });
const plan: [Size, number][] = values.quick
  ? [['S', 8]]
  : [
      ['Ti', 60],
      ['S', 30],
      ['B', 16],
    ];
const where = machine();
const measurements: Measurement[] = [];
const first: (FirstRequest & { readonly model: string })[] = [];
for (const [size, rounds] of plan) {
  const found = await benchmark(size, rounds);
  measurements.push(...found.measurements);
  first.push(...found.first.map((line) => ({ model: `ViT-${size}/16`, ...line })));
}
if (values.json) {
  for (const line of measurements)
    console.log(JSON.stringify({ ...line, precision: 'fp32', batch: 1, threads: 1 }));
} else {
  const text = `# The engine alone, fp32, one image, one thread, random weights

Made by \`node bench/engine.ts\`. ${where}
Contestants take turns; a ratio is the median over the rounds of the time over the peer's time in the same round; the spread is
the distance between the quartiles over the median. \`static\` is a session of exactly that network with its weights inside;
\`elastic\` is the engine: one session per structure, one copy of the weights for all levels.

${table(measurements)}

The first request of a level on a worker, right after the level was installed:

| model | level | first, ms | later, ms |
|---|---|---|---|
${first.map((f) => `| ${f.model} | ${f.level} | ${f.first_ms.toFixed(1)} | ${f.later_ms.toFixed(1)} |`).join('\n')}
`;
  console.log(text);
  if (!values.quick) {
    const folder = join(import.meta.dirname, 'results');
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'engine.md'), text);
  }
}
