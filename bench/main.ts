/**
 * `npm run bench [-- name…] [--quick] [--json] [--out folder]`: runs the benchmarks, each a folder and a process of its own.
 * Whole runs that print tables leave them in `bench/results/`; quick ones and those for programs leave no file unless they are
 * told where.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';

const BENCHMARKS = [
  'engine',
  'decode',
  'batching',
  'overhead',
  'budgets',
  'overload',
  'fidelity',
  'coldstart',
  'autoscale',
];
/** Run only when they are named: for networks of gigabytes, and for one decision in the reader. */
const NAMED = ['large-models', 'range-reads'];

const words = process.argv.slice(2);
const chosen = words.filter((word) => BENCHMARKS.includes(word) || NAMED.includes(word));
const flags = words.filter((word) => !chosen.includes(word));
const published = !flags.some((flag) => /^--(quick|json|out)/.test(flag));
const results = join(import.meta.dirname, 'results');

for (const name of chosen.length > 0 ? chosen : BENCHMARKS) {
  const script = join(import.meta.dirname, name, 'main.ts');
  const child = spawn(process.execPath, [script, ...flags, ...(published ? ['--out', results] : [])], {
    stdio: 'inherit',
  });
  const code = await new Promise<number | null>((done) => child.once('exit', done));
  if (code !== 0) process.exitCode = 1;
}
