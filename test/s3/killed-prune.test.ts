import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../src/checkpoint/index.ts';
import { best } from '../../src/pruning/recipe/recipes/best.ts';
import type { RecipeInput } from '../../src/pruning/recipe/schema.ts';
import type { ObjectStore } from '../../src/storage/index.ts';
import { freshBucket, gateway, NEEDS_GATEWAY, storeIn } from './bucket.ts';

const root = join(import.meta.dirname, '../..');
const KILLS = 10;
const RECIPE: RecipeInput = {
  ...best,
  images: { fit: 8, held: 2 },
  criterion: { kind: 'gate-curvature', settings: { projections: 1 } },
  correction: { kind: 'ridge', settings: { images: 6, trials: 2 } },
  path: { kind: 'joint-search', settings: { images: 4, candidates: 1 } },
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remote-prune-'));
  await writeFile(join(folder, 'recipe.json'), JSON.stringify(RECIPE));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** `concertina prune` on a machine of its own: nothing but the bucket is common to two of them. */
async function machine(
  bucket: string,
): Promise<{ child: ChildProcess; ended: Promise<number | null>; output: () => string }> {
  const home = await mkdtemp(join(folder, 'home-'));
  const options = {
    model: join(root, 'assets/sample-model'),
    images: join(root, 'assets/sample-images'),
    store: `s3://${bucket}/models`,
    work: `s3://${bucket}/work`,
    name: 'sample',
    recipe: join(folder, 'recipe.json'),
    levels: '0.5,1',
  };
  const flags = Object.entries(options).flatMap(([flag, value]) => [`--${flag}`, value]);
  const { endpoint = '', accessKeyId = '', secretAccessKey = '' } = gateway ?? {};
  const child = spawn(process.execPath, [join(root, 'src/cli/main.ts'), 'prune', ...flags, '--json'], {
    env: {
      PATH: process.env.PATH,
      HOME: home,
      AWS_ENDPOINT_URL_S3: endpoint,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
    },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
  return { child, ended: new Promise((done) => child.once('exit', done)), output: () => output };
}

/** Objects under `work/`, with what tells one writing of them from another. */
async function steps(store: ObjectStore): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const { key, modified = 0 } of store.list('work/')) found.set(key, String(modified));
  return found;
}

/** A pseudo-random number in [0, 1), the same in every run (Park and Miller 1988). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

describe.skipIf(!gateway)(`a pruning job whose steps lie in a bucket ${NEEDS_GATEWAY}`, () => {
  it(`goes on on another machine each of ${KILLS} times that one is taken away, and gives the same bytes`, async () => {
    const [undisturbed, disturbed] = [await freshBucket(), await freshBucket()];
    const began = performance.now();
    const whole = await machine(undisturbed);
    expect(await whole.ended, whole.output()).toBe(0);
    const took = performance.now() - began;
    const expected = (await openCheckpoint(storeIn(undisturbed, { prefix: 'models' }), 'sample')).digest;

    const store = storeIn(disturbed);
    const random = randomNumbers(20_261_128);
    const seen = new Map<string, Set<string>>();
    let kills = 0;
    for (let runs = 0; runs < 3 * KILLS; runs++) {
      const { child, ended, output } = await machine(disturbed);
      if (kills === KILLS) {
        expect(await ended, output()).toBe(0);
        break;
      }
      // Anywhere in the life of a whole run; a run that ended before is one that went on to the end.
      const timer = setTimeout(() => child.kill('SIGKILL'), random() * took);
      const code = await ended;
      clearTimeout(timer);
      if (code === null) kills++;
      else {
        expect(code, output()).toBe(0);
        // Done before its tenth kill: the next run begins anew in a bucket without steps.
        if (kills < KILLS) for await (const { key } of store.list('')) await store.delete(key);
        seen.clear();
        continue;
      }
      for (const [key, written] of await steps(store)) {
        if (!key.endsWith('.step')) continue; // the list of a job's steps grows
        const times = seen.get(key) ?? new Set<string>();
        seen.set(key, times.add(written));
      }
    }
    expect(kills).toBe(KILLS);
    // What was finished was never done again.
    for (const [key, times] of seen) expect([key, times.size]).toEqual([key, 1]);
    expect((await openCheckpoint(storeIn(disturbed, { prefix: 'models' }), 'sample')).digest).toBe(expected);
    expect((await steps(store)).size).toBe(0);
  }, 1_800_000);
});
