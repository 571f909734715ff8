/** `npm run bench [-- name…] [--quick] [--json] [--out folder]`: runs the benchmarks, one process each. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';

const BENCHMARKS = ['engine', 'overhead', 'overload', 'fidelity'] as const;

const words = process.argv.slice(2);
const chosen = words.filter((word) => (BENCHMARKS as readonly string[]).includes(word));
const flags = words.filter((word) => !chosen.includes(word));

for (const name of chosen.length > 0 ? chosen : BENCHMARKS) {
  const child = spawn(process.execPath, [join(import.meta.dirname, `${name}.ts`), ...flags], {
    stdio: 'inherit',
  });
  const code = await new Promise<number | null>((done) => child.once('exit', done));
  if (code !== 0) process.exitCode = 1;
}
