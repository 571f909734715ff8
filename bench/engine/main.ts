/**
 * The engine against what else could run the network: static sessions, transformers.js, masks; alone and through HTTP, on one
 * worker and two. `npm run bench -- engine [--quick] [--json] [--out folder] [--only cells|http|throughput|memory] [--size Ti|S|B] [--seconds N]`
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { machine } from '../common/machine.ts';
import type { Size } from '../common/networks.ts';
import type { Measurement } from '../common/race.ts';
import { type CellPlan, measureCells } from './cells.ts';
import { measureHttp } from './http.ts';
import { measureMemory, type Resident } from './memory.ts';
import { openNetwork } from './networks.ts';
import { line, report } from './report.ts';
import { measureThroughput } from './throughput.ts';
import { hasTransformers } from './transformers.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    json: { type: 'boolean' },
    out: { type: 'string' },
    only: { type: 'string' },
    size: { type: 'string' },
    seconds: { type: 'string', default: '45' },
  },
});

const QUICK: CellPlan = {
  units: [0.5],
  tokens: [0.5],
  batches: [1],
  threads: [1],
  rounds: { seconds: 12, least: 4, most: 30 },
};
const WHOLE: CellPlan = {
  units: [0.25, 0.5, 0.75],
  tokens: [0.5, 0.75],
  batches: [1],
  threads: [1, 2],
  rounds: { seconds: Number(values.seconds), least: 7, most: 60 },
};

const where = machine();
const measurements: Measurement[] = [];
const memory: Resident[] = [];
function done(found: readonly Measurement[]): void {
  measurements.push(...found);
  for (const one of found) {
    if (values.json) process.stdout.write(`${JSON.stringify(one)}\n`);
    else process.stderr.write(`${line(one)}\n`);
  }
}

const wanted = (part: string) => values.only === undefined || values.only === part;
const sizes = (values.quick ? ['S'] : ['Ti', 'S', 'B']).filter(
  (size): size is Size => values.size === undefined || values.size === size,
);
const parts = values.quick
  ? { seconds: 5, least: 3, most: 20 }
  : { seconds: Number(values.seconds), least: 8, most: 100 };
for (const size of sizes) {
  const network = await openNetwork(size);
  if (wanted('cells')) await measureCells(network, values.quick ? QUICK : WHOLE, done);
  if (wanted('throughput') && size === 'S') done(await measureThroughput(network, parts));
  if (wanted('memory') && size !== 'Ti') memory.push(...(await measureMemory(network)));
  if (wanted('http') && (size === 'B' || values.quick)) done(await measureHttp(network, parts));
}

const absent = hasTransformers
  ? []
  : [
      'Not measured: `transformers.js`, which is not installed here (`npm ci --ignore-scripts --prefix bench/peers`).',
    ];
for (const sentence of absent) process.stderr.write(`${sentence}\n`);
const notes = await readFile(join(import.meta.dirname, 'notes.md'), 'utf8').catch(() => '');
const seconds = values.seconds === '45' ? '' : ` --seconds ${values.seconds}`;
const command = `npm run bench -- engine${values.quick ? ' --quick' : ''}${seconds}`;
const text = report({ command, measurements, memory, absent, where }, notes);
if (!values.json) process.stdout.write(text);
if (values.out !== undefined) {
  await mkdir(values.out, { recursive: true });
  await writeFile(join(values.out, 'engine.md'), text);
}
