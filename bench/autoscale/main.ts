/**
 * A day of each tier under each platform's scaling rule, elastic against fixed, in simulated time: cost, latency, fidelity, sheds.
 * `npm run bench -- autoscale [--quick] [--json] [--out folder]`. The inputs are measured by `bench/autoscale/measure.ts`.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readInputs } from './inputs.ts';
import { settings, simulate, tierNames } from './platforms.ts';
import { autoscalePage, coursePlot, type Run } from './report.ts';

const SEED = 7;
const PLOTTED = 'standard';

const { values } = parseArgs({
  options: { quick: { type: 'boolean' }, json: { type: 'boolean' }, out: { type: 'string' } },
});
const inputs = readInputs();
const runs: Run[] = [];
for (const setting of settings(values.quick ? ['free'] : tierNames())) {
  const outcome = simulate(setting, inputs, SEED);
  runs.push({ ...setting, outcome });
  const { summary } = outcome;
  if (values.json) console.log(JSON.stringify({ ...setting, ...summary }));
  else process.stderr.write(`${Object.values(setting).join(' ')}: ${summary.perMillion.toFixed(2)} USD\n`);
}
const page = autoscalePage(runs, inputs);
if (!values.json) console.log(page);
if (values.out) {
  await writeFile(join(values.out, 'autoscale.md'), page);
  await writeFile(join(values.out, 'autoscale-replicas.svg'), coursePlot(runs, PLOTTED, 'replicas'));
  await writeFile(join(values.out, 'autoscale-latency.svg'), coursePlot(runs, PLOTTED, 'p99'));
}
