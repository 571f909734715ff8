/**
 * Budgets kept: requests of mixed budgets at 30, 60 and 90 % of capacity, through the scheduler and the engine.
 * `npm run bench -- budgets [--quick] [--json] [--out folder]`
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { machine } from '../common/machine.ts';
import { servedNetwork } from '../common/served-network.ts';
import { median } from '../common/statistics.ts';
import { type BudgetsRun, driveBudgets, TARGETS } from './drive.ts';

const LOADS = [0.3, 0.6, 0.9] as const;
const { values } = parseArgs({
  options: { quick: { type: 'boolean' }, json: { type: 'boolean' }, out: { type: 'string' } },
});
const requests = values.quick ? 500 : 2000;

const { model, what } = await servedNetwork('quick');
const runs: { load: number; run: BudgetsRun }[] = [];
try {
  for (const load of LOADS) {
    const run = await driveBudgets(model, { requests, load, calibration: values.quick ? 300 : 1500 });
    runs.push({ load, run });
    const { broken, refused, errors, ...figures } = run;
    process.stdout.write(
      values.json
        ? `${JSON.stringify({ load, ...figures, prediction_error: median(errors), broken: broken.length, refused: refused.length })}\n`
        : `${row(load, run)}\n`,
    );
  }
} finally {
  await model.retire();
}

function row(
  load: number,
  { requests, capacity, targets, met, errors, broken, refused, others }: BudgetsRun,
): string {
  const [before, after] = capacity;
  return `| ${[
    `${100 * load} %`,
    requests,
    `${before.toFixed(0)} / ${after.toFixed(0)}`,
    `**${((100 * met) / targets).toFixed(2)} %** of ${targets}`,
    `${(100 * median(errors)).toFixed(1)} %`,
    broken.length,
    refused.length,
    others === undefined ? 'unknown' : `${(100 * others).toFixed(1)} %`,
  ].join(' | ')} |`;
}

if (values.out !== undefined) {
  await mkdir(values.out, { recursive: true });
  await writeFile(
    join(values.out, 'budgets.md'),
    `# Budgets kept

Made by \`npm run bench -- budgets\`. ${machine()}
${what}. Poisson arrivals, a fifth each: latency; latency with a fidelity floor; FLOP share; level;
fidelity floor. Latency targets are log-uniform between ${TARGETS[0]} and ${TARGETS[1]} times the full network's time. Prediction error: median of
|measured - predicted| / measured. Broken: requests whose \`flops\`, \`level\` or \`fidelity\` was not kept. Other programs: their share
of all cores meanwhile.

| load | requests | capacity before / after, 1/s | latency targets met | prediction error | broken | refused | other programs |
|---|---|---|---|---|---|---|---|
${runs.map(({ load, run }) => row(load, run)).join('\n')}
`,
  );
}
