import { execFile } from 'node:child_process';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { bundleWorker, workerErrors } from '../../deploy/check-worker.ts';
import { storeWorkerProfile } from '../../deploy/worker-profile.ts';
import { uploadToLocalBucket } from '../../deploy/worker-upload.ts';
import { openCheckpoint } from '../../src/checkpoint/index.ts';
import { bytesForModels, edgeSettings, highestLevel, profileKey } from '../../src/edge/index.ts';
import { memoryUse } from '../../src/engine/runtime/wasm/index.ts';
import { readTiers } from '../../src/host/index.ts';
import { openStore } from '../../src/storage/node.ts';
import { publishTiny, tinyStore } from '../support/tiny-store.ts';

const ROOT = join(import.meta.dirname, '../..');
const WRANGLER = join(ROOT, 'node_modules/wrangler/bin/wrangler.js');
const TIERS = new URL('../../deploy/tiers.yaml', import.meta.url);

describe('the Worker as it is deployed', () => {
  it('bundles without the network, well below the size that is allowed, with the rates of the tiers', async () => {
    const tiers = await readTiers(TIERS.pathname);
    const bundle = await bundleWorker();
    expect(bundle.gzipKib).toBeGreaterThan(1000);
    expect(workerErrors(bundle, tiers)).toEqual([]);
    expect(workerErrors({ kib: 1, gzipKib: 20_000 }, tiers)).toHaveLength(1);
    const { free } = tiers;
    const changed = {
      ...tiers,
      free: { ...(free ?? expect.fail()), rateLimit: { requests: 1, windowSeconds: 60 } },
    };
    expect(workerErrors(bundle, changed)).toEqual([expect.stringContaining('RATE_FREE')]);
  });

  it('takes its settings from variables, and says which one is wrong', async () => {
    const text = await readFile(TIERS, 'utf8');
    expect(edgeSettings({}, text)).toMatchObject({ origin: undefined, pixels: 2_000_000, pollMs: 30_000 });
    expect(edgeSettings({ CONCERTINA_ORIGIN: '' }, text).origin).toBeUndefined();
    expect(edgeSettings({ CONCERTINA_ORIGIN: 'https://a.example/{tier}/' }, text).origin).toBe(
      'https://a.example/{tier}',
    );
    for (const [name, value] of Object.entries({
      CONCERTINA_ORIGIN: 'ftp://a',
      CONCERTINA_MEMORY_MB: '4000',
      CONCERTINA_PIXELS: 'many',
    }))
      expect(() => edgeSettings({ [name]: value }, text)).toThrow(name);
  });

  it('gives models the memory that program, runtime, body and picture leave', async () => {
    // 128 MiB less 17 and 30 MiB, two bodies of 4 MiB, 11 bytes for each of two million pixels.
    const settings = edgeSettings({}, await readFile(TIERS, 'utf8'));
    expect(bytesForModels(settings)).toBe((128 - 17 - 30 - 8) * 2 ** 20 - 22e6);
    const { manifest } = await openCheckpoint(await tinyStore(), 'tiny');
    const needs = manifest.ladder.map((level) => memoryUse(manifest.config, level).total);
    expect(needs).toEqual([...needs].sort((a, b) => a - b));
    for (const [level, bytes] of needs.entries()) {
      expect(highestLevel(manifest, bytes)).toBe(level);
      expect(highestLevel(manifest, bytes - 1)).toBe(level - 1);
    }
  });
});

it('a profile for Workers is measured and stored where they look for it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'concertina-profile-'));
  const store = await openStore(folder);
  const { digest } = await publishTiny(store);
  const { entries } = await storeWorkerProfile(folder, 'tiny', 2);
  expect(entries.map(({ level, precision }) => `${level} ${precision}`)).toEqual([
    '0 fp32',
    '1 fp32',
    '2 fp32',
  ]);
  const { body } = await store.get(profileKey('tiny', digest));
  expect(JSON.parse(new TextDecoder().decode(body))).toEqual({ version: 1, fingerprint: 'workers', entries });
});

it('a store is copied into the bucket that wrangler has on this machine, by one process', async () => {
  const [folder, state] = await Promise.all(
    ['store', 'state'].map((name) => mkdtemp(join(tmpdir(), `concertina-${name}-`))),
  );
  const store = await openStore(folder ?? '');
  await publishTiny(store);
  const keys = await Array.fromAsync(store.list(''));
  expect(await uploadToLocalBucket(folder ?? '', state ?? '')).toBe(keys.length);
  const file = join(state ?? '', 'latest.json');
  const words = ['r2', 'object', 'get', 'concertina-models/tiny/latest.json', '--local', '--file', file];
  await promisify(execFile)(
    process.execPath,
    [WRANGLER, ...words, '--config', join(ROOT, 'deploy/wrangler.jsonc'), '--persist-to', state ?? ''],
    { cwd: ROOT },
  );
  expect(await readFile(file)).toEqual(Buffer.from((await store.get('tiny/latest.json')).body));
}, 240_000);
