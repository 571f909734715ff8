/**
 * Changes the sources of a folder in one place at a time, and sees whether a test of that folder fails (StrykerJS):
 * `npm run test:mutation [-- folder…] [--file path] [--concurrency 2]`. Prints what lived, writes `.stryker/FOLDER.html`, and exits 1
 * where less than `LEAST` of the changes were noticed. Takes minutes to hours: not part of `.ci/run`. Installs StrykerJS beside this
 * file. Not changed: sentences, and what runs when a module is loaded.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';

/** Share of the changes that must be noticed, percent. */
const LEAST = 85;

/** What is changed, and the tests that should notice. */
const FOLDERS: Readonly<Record<string, readonly string[]>> = {
  'src/budget': ['test/budget'],
  'src/serving': ['test/serving', 'test/budget'],
  'src/pruning/paths': ['test/pruning/paths'],
  'src/pruning/corrections': ['test/pruning/corrections'],
  'src/gateway': ['test/gateway', 'test/serving'],
};

const ROOT = join(import.meta.dirname, '../..');
const STRYKER = join(import.meta.dirname, 'node_modules/@stryker-mutator/core/bin/stryker.js');

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { file: { type: 'string', multiple: true }, concurrency: { type: 'string', default: '2' } },
});
const chosen = positionals.length > 0 ? positionals : Object.keys(FOLDERS);
const unknown = chosen.filter((folder) => !FOLDERS[folder]);
if (unknown.length > 0)
  throw new RangeError(`not mutated: ${unknown.join(', ')}. There are: ${Object.keys(FOLDERS).join(', ')}`);

if (!existsSync(STRYKER)) {
  const { status } = spawnSync('npm', ['ci', '--ignore-scripts', '--prefix', import.meta.dirname], {
    stdio: 'inherit',
  });
  if (status !== 0) process.exit(1);
}
for (const folder of chosen) {
  const judges = FOLDERS[folder] ?? [];
  const name = folder.replaceAll('/', '-');
  const config = {
    testRunner: 'vitest',
    // Nothing to rewrite: the sandbox is a copy of the whole tree.
    tsconfigFile: 'none',
    plugins: ['@stryker-mutator/vitest-runner'],
    mutate: values.file ?? [`${folder}/**/*.ts`],
    vitest: { configFile: relative(ROOT, join(import.meta.dirname, 'vitest.config.ts')), related: false },
    coverageAnalysis: 'perTest',
    concurrency: Number(values.concurrency),
    timeoutMS: 10_000,
    ignorePatterns: [
      '/bench/results',
      '/docs',
      '/deploy',
      '/assets/playground',
      '/test/mutation/node_modules',
    ],
    // A change of a sentence that people read is no change of what the program does.
    mutator: { excludedMutations: ['StringLiteral'] },
    ignoreStatic: true,
    reporters: ['clear-text', 'html', 'progress-append-only'],
    clearTextReporter: { allowColor: false, reportTests: false, reportScoreTable: true },
    htmlReporter: { fileName: `.stryker/${name}.html` },
    tempDirName: '.stryker/tmp',
    thresholds: { high: 95, low: LEAST, break: LEAST },
  };
  const file = join(mkdtempSync(join(tmpdir(), 'concertina-mutation-')), 'stryker.conf.json');
  writeFileSync(file, JSON.stringify(config));
  const { status } = spawnSync(process.execPath, [STRYKER, 'run', file], {
    cwd: ROOT,
    stdio: 'inherit',
    env: {
      ...process.env,
      CONCERTINA_JUDGES: JSON.stringify(judges.map((judge) => `${judge}/**/*.test.ts`)),
    },
  });
  if (status !== 0) process.exitCode = 1;
}
