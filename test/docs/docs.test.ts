import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { prune } from '../../src/pruning/index.ts';
import { memoryStore } from '../../src/storage/index.ts';
import { ERRORS_PAGE, errorsPage } from '../../tools/errors-page/errors-page.ts';

const ROOT = join(import.meta.dirname, '../..');
const PAGES = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

interface Block {
  readonly language: string;
  readonly code: string;
}

function blocks(page: string): Block[] {
  const text = readFileSync(join(ROOT, page), 'utf8');
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language = '', code = '']) => ({
    language,
    code,
  }));
}

const runnable = PAGES.map((page) => ({
  page,
  steps: blocks(page).filter(({ language }) => language === 'sh' || language === 'ts'),
})).filter(({ steps }) => steps.length > 0);

describe('the documents', () => {
  let server: RunningServer;
  let folder: string;

  beforeAll(async () => {
    const store = memoryStore();
    const assets = join(ROOT, 'assets');
    const work = await mkdtemp(join(tmpdir(), 'concertina-work-'));
    await prune({
      model: join(assets, 'sample-model'),
      images: join(assets, 'sample-images'),
      store,
      recipe: 'quick',
      work,
    });
    server = await startServer({ store, port: 0 });
    await server.loaded();
    // A folder that looks like a clone, into which the commands may write.
    folder = await mkdtemp(join(tmpdir(), 'concertina-docs-'));
    for (const name of ['assets', 'deploy', 'node_modules', 'package.json', 'src'])
      await symlink(join(ROOT, name), join(folder, name));
  });
  afterAll(() => server.close());

  /** Runs a block as a reader would, against the gateway of this test. */
  async function run({ language, code }: Block): Promise<string> {
    const text = code.replaceAll('http://127.0.0.1:8787', server.url);
    const file = join(folder, language === 'ts' ? 'block.ts' : 'block.sh');
    await writeFile(file, text);
    const [program, words] =
      language === 'ts' ? [process.execPath, [file]] : ['bash', ['-euo', 'pipefail', file]];
    return await new Promise((done, fail) => {
      execFile(program, words, { cwd: folder }, (error, out, err) =>
        error ? fail(new Error(`${text}\n${err}`)) : done(out),
      );
    });
  }

  it.each(runnable)(
    '$page: every command and program runs',
    async ({ steps }) => {
      for (const step of steps) {
        const out = await run(step);
        // A gateway that refuses still answers curl: only what a page says is refused may be.
        const refused = /"status":(\d+)/.exec(out)?.[1];
        expect(refused === undefined || step.code.includes('fidelity=0.999')).toBe(true);
      }
    },
    240_000,
  );

  it('have runnable blocks where a newcomer starts', () => {
    expect(runnable.map(({ page }) => page)).toEqual(
      expect.arrayContaining(['README.md', 'docs/getting-started.md', 'docs/budgets.md', 'docs/pruning.md']),
    );
  });

  it.each(PAGES)('%s: every link within the repository leads somewhere', async (page) => {
    const text = await readFile(join(ROOT, page), 'utf8');
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:|#)([^)#]+)/g))
      expect([target, existsSync(join(ROOT, dirname(page), target))]).toEqual([target, true]);
  });

  it('docs/errors.md is what the table of problems says', async () => {
    expect(await readFile(ERRORS_PAGE, 'utf8')).toBe(errorsPage());
  });
});
