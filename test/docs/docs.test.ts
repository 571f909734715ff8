import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { prune } from '../../src/pruning/index.ts';
import { openStore } from '../../src/storage/node.ts';
import { ERRORS_PAGE, errorsPage } from '../../tools/errors-page/errors-page.ts';
import { buildInto } from '../support/build-into.ts';
import { until } from '../support/until.ts';
import { BLOCKS, type Block, KINDS, PAGES, ROOT } from './blocks.ts';
import { checkCommands } from './commands.ts';

const run = promisify(execFile);
const of = (...kinds: readonly string[]) =>
  PAGES.map((page) => ({
    page,
    steps: BLOCKS.filter((block) => block.page === page && kinds.includes(block.kind)),
  })).filter(({ steps }) => steps.length > 0);

const PYTHON = (() => {
  try {
    return execFileSync('python3', ['--version']).length > 0;
  } catch {
    return false;
  }
})();

describe('the documents', () => {
  let server: RunningServer;
  let folder: string;

  beforeAll(async () => {
    // A folder that looks like a clone after `npm ci` and `npm run build`, into which the commands may write.
    folder = await mkdtemp(join(tmpdir(), 'concertina-docs-'));
    await buildInto(folder);
    for (const name of ['assets', 'deploy']) await symlink(join(ROOT, name), join(folder, name));
    const store = await openStore(join(folder, 'sample'));
    const assets = join(ROOT, 'assets');
    await prune({
      model: join(assets, 'sample-model'),
      images: join(assets, 'sample-images'),
      store,
      recipe: 'quick',
      work: join(folder, 'work'),
    });
    server = await startServer({ store, port: 0 });
    await server.loaded();
  }, 600_000);
  afterAll(async () => {
    await server?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const environment = (more: Record<string, string> = {}) => ({
    ...process.env,
    // Our Node first, as npm scripts have it.
    PATH: [join(ROOT, 'node_modules/.bin'), process.env.PATH].join(delimiter),
    ...more,
  });

  /** Runs a block as a reader would, against the gateway of this test. */
  async function follow({ kind, code }: Block): Promise<string> {
    const text = code.replaceAll('http://127.0.0.1:8787', server.url);
    const file = join(folder, kind === 'ts' ? 'block.ts' : 'block.sh');
    await writeFile(file, text);
    const [command, words] =
      kind === 'ts' ? [process.execPath, [file]] : ['bash', ['-euo', 'pipefail', file]];
    return (await run(command, words, { cwd: folder, env: environment(), maxBuffer: 1e8 })).stdout;
  }

  /** Starts a block, waits until what it serves is ready, and stops it as Ctrl+C would. */
  async function serveAndStop({ code }: Block) {
    const command = code.replace('npm ci && ', '').trim();
    const child = spawn('bash', ['-c', `exec ${command}`], {
      cwd: folder,
      env: environment({ PORT: '0' }),
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text));
    const ended = once(child, 'exit');
    try {
      const address = () => /http:\/\/127\.0\.0\.1:\d+/.exec(said)?.[0];
      const ready = async () => {
        const url = address();
        return url !== undefined && (await fetch(`${url}/readyz`)).ok;
      };
      await until(async () => child.exitCode !== null || (await ready()), 300_000);
      expect([command, child.exitCode, said]).toEqual([command, null, expect.stringContaining('127.0.0.1')]);
    } finally {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGINT');
      await ended;
    }
  }

  it.each(of('sh', 'ts'))(
    '$page: every command and program runs',
    async ({ steps }) => {
      for (const step of steps) {
        const out = await follow(step);
        // A gateway that refuses still answers curl: only what a page says is refused may be.
        const refused = /"status":(\d+)/.exec(out)?.[1];
        expect(refused === undefined || step.code.includes('fidelity=0.999')).toBe(true);
      }
    },
    240_000,
  );

  it.each(of('sh served'))(
    '$page: every server that it starts becomes ready and stops',
    async ({ steps }) => {
      for (const step of steps) await serveAndStop(step);
    },
    400_000,
  );

  it.each(of('sh parsed'))(
    '$page: what needs an account or hours names commands, flags and files that exist',
    ({ steps }) => {
      for (const { code } of steps) checkCommands(code);
    },
  );

  it('every block of every page is one of those kinds', () => {
    const known: readonly string[] = KINDS;
    expect(BLOCKS.filter(({ kind }) => !known.includes(kind))).toEqual([]);
    // What is called text is none that somebody would type.
    expect(
      BLOCKS.filter(({ kind, code }) => kind === 'text' && /^\s*(npm|npx|curl|docker|node) /m.test(code)),
    ).toEqual([]);
    expect(of('sh').map(({ page }) => page)).toEqual(
      expect.arrayContaining(['README.md', 'docs/getting-started.md', 'docs/budgets.md', 'docs/pruning.md']),
    );
  });

  it.skipIf(!PYTHON)(
    'docs/checkpoint-format.md: its reader reads a pruned checkpoint (needs Python)',
    async () => {
      const [reader] = BLOCKS.filter(({ kind }) => kind === 'py');
      await writeFile(join(folder, 'reader.py'), reader?.code ?? '');
      const { stdout } = await run(
        'python3',
        [
          join(ROOT, 'test/docs/check_reader.py'),
          join(folder, 'sample/sample-model'),
          join(ROOT, 'assets/sample-model/model.safetensors'),
        ],
        { env: environment({ PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: '1' }) },
      );
      const found = JSON.parse(stdout);
      expect(found).toMatchObject({ levels: 8, tensors: 104 });
      expect(found.kept).toBeGreaterThan(100);
    },
  );

  it.each(PAGES)('%s: every link and picture within the repository leads somewhere', async (page) => {
    const text = await readFile(join(ROOT, page), 'utf8');
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:|#)([^)#]+)/g))
      expect([target, existsSync(join(ROOT, dirname(page), target))]).toEqual([target, true]);
  });

  it('docs/README.md names every page', async () => {
    const index = await readFile(join(ROOT, 'docs/README.md'), 'utf8');
    for (const page of PAGES.filter((name) => name.startsWith('docs/') && name !== 'docs/README.md'))
      expect(index).toContain(`](${page.slice('docs/'.length)})`);
    expect(index).toContain('](../deploy/README.md)');
  });

  it('docs/errors.md is what the table of problems says', async () => {
    expect(await readFile(ERRORS_PAGE, 'utf8')).toBe(errorsPage());
  });
});
