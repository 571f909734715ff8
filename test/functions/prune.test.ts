import { execFile } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { listModels } from '../../src/checkpoint/index.ts';
import { openStore } from '../../src/storage/node.ts';

const ROOT = join(import.meta.dirname, '../..');

it('the pruning job takes what the event names, and names the model after its folder', async () => {
  const store = await mkdtemp(join(tmpdir(), 'concertina-job-'));
  const weights = join(ROOT, 'assets/sample-model/model.safetensors');
  const images = join(ROOT, 'assets/sample-images');
  const words = [
    '--model',
    weights,
    '--images',
    images,
    '--name',
    'none',
    '--recipe',
    'quick',
    '--levels',
    '0.5,1',
    '--json',
  ];
  const env = { ...process.env, CONCERTINA_STORE: store, XDG_CACHE_HOME: store };
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(ROOT, 'functions/prune.ts'), ...words],
    { env },
  );
  expect(JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({
    event: 'published',
    name: 'sample-model',
  });
  expect(await listModels(await openStore(store))).toEqual(['sample-model']);
});
