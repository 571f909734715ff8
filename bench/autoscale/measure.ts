/**
 * Writes `inputs.json`: times of the levels of a ViT-B/16-sized network measured here, and cold starts from the samples of
 * `bench/coldstart`. `node bench/autoscale/measure.ts --coldstart samples.jsonl [--rounds 15]`
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openCheckpoint } from '../../src/checkpoint/index.ts';
import { createModel } from '../../src/engine/index.ts';
import { openStore } from '../../src/storage/node.ts';
import { elasticName, publishNetwork } from '../coldstart/checkpoints.ts';
import type { Sample } from '../coldstart/tables.ts';
import { machine } from '../common/machine.ts';
import { randomPixels, randomWeights, vitConfig } from '../common/networks.ts';
import { median, quantile } from '../common/statistics.ts';
import { INPUTS_FILE, type Inputs } from './inputs.ts';

const LINK = '400';

const { values } = parseArgs({
  options: { coldstart: { type: 'string' }, rounds: { type: 'string', default: '15' } },
});
if (values.coldstart === undefined) throw new RangeError('--coldstart names the samples of bench/coldstart');

async function levels(): Promise<Inputs['levels']> {
  const folder = await mkdtemp(join(tmpdir(), 'concertina-autoscale-'));
  const config = vitConfig('B');
  const store = await openStore(folder);
  await publishNetwork(store, { name: 'vit-b', config, tensors: randomWeights(config), corrected: 5 });
  const checkpoint = await openCheckpoint(store, elasticName('vit-b'));
  const { ladder } = checkpoint.manifest;
  const engine = await createModel({ config, variants: ladder, device: 'cpu', workers: 1 });
  try {
    for await (const increment of checkpoint.levels()) await engine.install(increment);
    const pixels = randomPixels(config, 1);
    const times = ladder.map((): number[] => []);
    for (let round = -2; round < Number(values.rounds); round++) {
      for (const [level, own] of times.entries()) {
        const began = performance.now();
        await engine.embed(pixels, 1, { level });
        if (round >= 0) own.push(performance.now() - began);
      }
    }
    return ladder.map(({ share, fidelity, end }, level) => {
      const own = times[level] ?? [];
      const rounded = (ms: number) => Math.round(ms * 10) / 10;
      return {
        share: Math.round(share * 1e4) / 1e4,
        fidelity: fidelity.fp32.mean,
        median: rounded(median(own)),
        p95: rounded(quantile(own, 0.95)),
        end,
      };
    });
  } finally {
    await engine.dispose();
    await rm(folder, { recursive: true });
  }
}

const samples = (await readFile(values.coldstart, 'utf8'))
  .split('\n')
  .filter(Boolean)
  .map((line) => JSON.parse(line) as Sample)
  .filter(({ model, link }) => model === vitConfig('B').architecture && link === LINK);
const start = (wanted: string) => {
  const own = samples.filter(({ contestant }) => contestant === wanted);
  const of = (pick: (sample: Sample) => number) => Math.round(1000 * median(own.map(pick))) / 1000;
  return { first: of(({ first }) => first), all: of(({ all }) => all) };
};
const inputs: Inputs = {
  command: 'node bench/autoscale/measure.ts --coldstart bench/results/coldstart.jsonl',
  machine: machine(),
  model: 'ViT-B/16-sized network',
  levels: await levels(),
  coldStart: {
    link: `a link of ${LINK} Mbit/s`,
    elastic: start('progressive'),
    fixed: start('fixed, fp16'),
  },
};
await writeFile(INPUTS_FILE, `${JSON.stringify(inputs, null, 2)}\n`);
