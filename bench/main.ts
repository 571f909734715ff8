/**
 * `npm run bench [-- name…] [--quick] [--json] [--out folder]`: runs the benchmarks, one process each. Whole runs that print
 * tables leave them in `bench/results/`; quick ones and those for programs leave no file unless they are told where.
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
] as const;

const words = process.argv.slice(2);
const chosen = words.filter((word) => (BENCHMARKS as readonly string[]).includes(word));
const flags = words.filter((word) => !chosen.includes(word));
const published = !flags.some((flag) => /^--(quick|json|out)/.test(flag));

for (const name of chosen.length > 0 ? chosen : BENCHMARKS) {
  // The comparison of methods is a page with plots of its own, one folder up.
  const out = name === 'fidelity' ? import.meta.dirname : join(import.meta.dirname, 'results');
  const script = join(import.meta.dirname, `${name}.ts`);
  const child = spawn(process.execPath, [script, ...flags, ...(published ? ['--out', out] : [])], {
    stdio: 'inherit',
  });
  const code = await new Promise<number | null>((done) => child.once('exit', done));
  if (code !== 0) process.exitCode = 1;
}
