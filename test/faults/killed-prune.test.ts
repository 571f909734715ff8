import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../src/checkpoint/index.ts';
import { best } from '../../src/pruning/recipe/recipes/best.ts';
import type { RecipeInput } from '../../src/pruning/recipe/schema.ts';
import { openStore } from '../../src/storage/node.ts';
import { until } from '../support/until.ts';

const root = join(import.meta.dirname, '../..');
/** The default recipe with few pictures and few candidates. */
const RECIPE: RecipeInput = {
  ...best,
  images: { fit: 8, held: 2 },
  criterion: { kind: 'gate-curvature', settings: { projections: 1 } },
  correction: { kind: 'ridge', settings: { images: 6, trials: 2 } },
  path: { kind: 'joint-search', settings: { images: 4, candidates: 1 } },
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'killed-'));
  await writeFile(join(folder, 'recipe.json'), JSON.stringify(RECIPE));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** `concertina prune` on the sample model as a process, with a store and a work folder of its own. */
function prune(job: string): { child: ChildProcess; ended: Promise<number | null> } {
  const options = {
    model: join(root, 'assets/sample-model'),
    images: join(root, 'assets/sample-images'),
    store: join(folder, job, 'models'),
    name: 'sample',
    recipe: join(folder, 'recipe.json'),
    levels: '0.5,1',
    work: join(folder, job, 'work'),
  };
  const flags = Object.entries(options).flatMap(([flag, value]) => [`--${flag}`, value]);
  const child = spawn(process.execPath, [join(root, 'src/cli/main.ts'), 'prune', ...flags, '--json'], {
    stdio: 'ignore',
  });
  return { child, ended: new Promise((done) => child.once('exit', done)) };
}

async function steps(job: string): Promise<string[]> {
  const files = await readdir(join(folder, job, 'work'), { recursive: true }).catch(() => []);
  return files.filter((file) => file.endsWith('.step'));
}

async function digest(job: string): Promise<string> {
  return (await openCheckpoint(await openStore(join(folder, job, 'models')), 'sample')).digest;
}

/** Promise: what a killed pruning job has finished is not done again, and its checkpoint has the same bytes. */
describe('a pruning job that is killed', () => {
  it('goes on when it is started again, and gives what a job that was never stopped gives', async () => {
    expect(await prune('whole').ended).toBe(0);
    const first = prune('killed');
    await until(async () => (await steps('killed')).some((file) => /path-0.5/.test(file)), 120_000);
    first.child.kill('SIGKILL');
    expect(await first.ended).toBeNull();
    expect((await steps('killed')).some((file) => /scores\.\w+\.step$/.test(file))).toBe(true);
    await expect(digest('killed')).rejects.toMatchObject({ code: 'unknown-checkpoint' });
    expect(await prune('killed').ended).toBe(0);
    expect(await digest('killed')).toBe(await digest('whole'));
    expect(await steps('killed')).toEqual([]);
  }, 240_000);
});
