import { execFile } from 'node:child_process';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { typed } from '../../src/cli/typed.ts';
import { openStore } from '../../src/storage/node.ts';
import { publishTiny } from '../support/tiny-store.ts';
import { tinyConfig } from '../support/tiny-vit.ts';

const ROOT = join(import.meta.dirname, '../..');
const MODEL = join(ROOT, 'assets/sample-model');
const IMAGES = join(ROOT, 'assets/sample-images');

/** Runs the command as a user does. */
function concertina(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const { CONCERTINA_STORE: _, ...env } = process.env;
  return new Promise((done) => {
    execFile(
      process.execPath,
      [join(ROOT, 'src/cli/main.ts'), ...words],
      { env, cwd: ROOT },
      (error, out, err) => done({ code: error ? Number(error.code ?? 1) : 0, out, err }),
    );
  });
}

describe('the command line', () => {
  let store: string;
  let pruned: Awaited<ReturnType<typeof concertina>>;

  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'concertina-cli-'));
    store = join(folder, 'store');
    pruned = await concertina(
      ...['prune', '--model', MODEL, '--images', IMAGES, '--store', store, '--recipe', 'quick'],
      ...['--levels', '0.4,0.7,1', '--work', join(folder, 'work'), '--json'],
    );
  });

  it('prunes, with events and nothing else on standard output', async () => {
    expect(pruned).toMatchObject({ code: 0, err: '' });
    const events = pruned.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const last = events.at(-1);
    expect(last).toMatchObject({
      event: 'published',
      name: 'sample-model',
      images: { used: 32, skipped: 0 },
    });
    expect(
      last.ladder.map(({ flops }: { flops: number }) => flops <= 0.4 || flops <= 0.7 || flops === 1),
    ).toEqual([true, true, true]);
    expect(events.some(({ event }) => event === 'end')).toBe(true);
  });

  it('inspects: a ladder, and bars for the blocks of a level', async () => {
    const { code, out } = await concertina('inspect', '--store', store, '--level', '0');
    expect(code).toBe(0);
    expect(out).toMatch(/^level +FLOPs/m);
    expect(out.match(/^block +\d+ +heads .* \d+\/6 +channels .* \d+\/768/gm)).toHaveLength(8);
    const json = await concertina('inspect', '--store', store, '--json');
    expect(JSON.parse(json.out).ladder).toHaveLength(3);
  });

  it('inspects a network whose units are dimensions: queries and values in place of heads', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'concertina-dimensions-'));
    await publishTiny(await openStore(folder), { config: tinyConfig({ attentionUnits: 'dimensions' }) });
    const { code, out } = await concertina('inspect', '--store', folder, '--level', '0');
    expect(code).toBe(0);
    const [header = '', ...levels] = out
      .split('\n')
      .filter((line) => /^(level|\d) /.test(line))
      .map((line) => line.split(/ {2,}/));
    const columns = ['queries', 'values', 'channels'].map((name) => header.indexOf(name));
    expect(levels.map((cells) => columns.map((column) => cells[column]))).toEqual([
      ['50 %', '50 %', '43 %'],
      ['75 %', '75 %', '71 %'],
      ['100 %', '100 %', '100 %'],
    ]);
    expect(header).not.toContain('heads');
    const bars = [
      'queries ██████······   2/4',
      'values ██████······   2/4',
      'channels ██████████▂·············     3/7',
    ];
    expect(out.match(/^block.*$/gm)).toEqual(
      [0, 1, 2].map((block) => [`block  ${block}`, ...bars].join('  ')),
    );
  });

  it('embeds files and folders under a budget; a broken file gets a line of its own', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'concertina-embed-'));
    await writeFile(join(folder, 'broken.jpg'), 'no picture');
    const file = join(folder, 'out.jsonl');
    const { code } = await concertina(
      ...[
        'embed',
        join(IMAGES, 'fish-1.jpg'),
        folder,
        '--store',
        store,
        '--budget',
        'flops=0.7',
        '--out',
        file,
      ],
    );
    expect(code).toBe(0);
    const lines = (await readFile(file, 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines[0]).toMatchObject({ level: 1 });
    expect(lines[0].embedding).toHaveLength(192);
    expect(Math.hypot(...lines[0].embedding)).toBeCloseTo(1, 5);
    const raw = await concertina('embed', join(IMAGES, 'fish-1.jpg'), '--store', store, '--no-normalize');
    expect(Math.hypot(...JSON.parse(raw.out).embedding)).toBeGreaterThan(2);
    expect(lines[1]).toMatchObject({ error: { code: 'undecodable-image' } });
  });

  it('makes a key that is shown once, and checks the tier', async () => {
    const config = join(ROOT, 'deploy/tiers.yaml');
    const made = await concertina('keys', 'create', '--tier', 'premium', '--config', config, '--json');
    expect(JSON.parse(made.out)).toMatchObject({
      tier: 'premium',
      key: expect.stringMatching(/^ck_premium_[0-9a-f]{48}$/),
    });
    const refused = await concertina('keys', 'create', '--tier', 'gold', '--config', config);
    expect(refused).toMatchObject({ code: 2, err: expect.stringContaining('free, standard, premium') });
  });

  it.each([
    ['an unknown command', ['bake'], 2],
    ['a missing flag', ['prune', '--images', IMAGES], 2],
    ['a number that is none', ['inspect', '--level', 'two'], 2],
    ['a store that is none', ['inspect', '--store', 'ftp://x'], 1],
    ['an empty store', ['inspect', '--store', '/nonexistent/store'], 1],
    ['a recipe that is not there', ['prune', '--model', MODEL, '--images', IMAGES, '--recipe', 'fast'], 1],
  ])('ends %s with a sentence and its exit code', async (_, words, code) => {
    const result = await concertina(...words);
    expect(result.code).toBe(code);
    expect(result.err.length).toBeGreaterThan(20);
    expect(result.err).not.toMatch(/^ +at /m);
  });

  it('names the next command as it was called itself', () => {
    expect(typed('serve', {})).toBe('concertina serve');
    expect(typed('serve', { npm_lifecycle_event: 'concertina' })).toBe('npm run concertina -- serve');
  });

  it('shows an example in the help of every command', async () => {
    const { out } = await concertina('--help');
    const commands = [...out.matchAll(/^ {2}([a-z]+) /gm)]
      .map(([, name]) => name ?? '')
      .filter((name) => name !== 'help');
    expect(commands.length).toBeGreaterThanOrEqual(7);
    for (const command of commands.filter((name) => name !== 'keys')) {
      const help = await concertina(command, '--help');
      expect(help.code).toBe(0);
      expect(help.out).toContain('Example:');
    }
  });
});
