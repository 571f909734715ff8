import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { link, mkdir, mkdtemp, open, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { collectGarbage } from '../../src/checkpoint/gc.ts';
import { listModels, openCheckpoint, probeStore } from '../../src/checkpoint/index.ts';
import { prune } from '../../src/pruning/index.ts';
import { memoryStore } from '../../src/storage/index.ts';
import { fsStore } from '../../src/storage/node.ts';
import { picture } from '../support/pictures.ts';
import { publishTiny } from '../support/tiny-store.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
const HOUR = 3_600_000;
const text = (value: string) => new TextEncoder().encode(value);

/** A small file system that gets full; only root may mount one. */
const full = join(tmpdir(), `concertina-full-${process.pid}`);
const mounted = (() => {
  try {
    execFileSync('mkdir', ['-p', full]);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', full], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();
afterAll(() => {
  if (mounted) execFileSync('umount', [full]);
});

const folder = () => mkdtemp(join(tmpdir(), 'concertina-files-'));

/** Runs `concertina`, with its output somewhere. */
async function command(words: readonly string[], stdout: string | undefined) {
  const to = stdout === undefined ? undefined : await open(stdout, 'w');
  const child = spawn(process.execPath, [MAIN, ...words], { stdio: ['ignore', to?.fd ?? 'ignore', 'pipe'] });
  let said = '';
  child.stderr?.on('data', (data) => {
    said += data;
  });
  const code = await new Promise<number | null>((done) => child.once('exit', done));
  await to?.close();
  return { code, said };
}

/** Promise: what a disk refuses is told in a sentence, before the work and not after it. */
describe('files that cannot be written', () => {
  it.skipIf(!existsSync('/dev/full'))(
    'by embed: named, in one sentence, before the model is loaded',
    async () => {
      const path = await folder();
      await publishTiny(fsStore(path));
      const image = join(path, 'a.png');
      await writeFile(image, await picture());
      const missing = await command(
        ['embed', image, '--store', path, '--out', '/no/such/folder/x.jsonl'],
        undefined,
      );
      expect(missing.code).toBe(1);
      expect(missing.said).toMatch(/^\/no\/such\/folder\/x\.jsonl cannot be written: ENOENT[^\n]*\n$/);
      const file = await command(['embed', image, '--store', path, '--out', '/dev/full'], undefined);
      expect(file.code).toBe(1);
      expect(file.said).toMatch(/\/dev\/full cannot be written: ENOSPC[^\n]*\n$/);
      expect(file.said).not.toMatch(/\n\s+at /);
      const output = await command(['embed', image, '--store', path], '/dev/full');
      expect(output.code).toBe(1);
      expect(output.said).toMatch(/Standard output cannot be written: .*ENOSPC/);
      expect(output.said).not.toMatch(/\n\s+at /);
    },
  );

  it.skipIf(!mounted)(
    'by the store: a full disk is told, leaves nothing behind, and is found by a probe (root only)',
    async () => {
      const store = fsStore(join(full, 'store'));
      await store.put('small', text('here'));
      await expect(store.put('large', new Uint8Array(200_000))).rejects.toMatchObject({
        code: 'store-unavailable',
        message: expect.stringMatching(/ENOSPC/),
      });
      expect(await readdir(join(full, 'store/.concertina-scratch'))).toEqual([]);
      expect(await store.head('large')).toBeUndefined();
      expect(Buffer.from((await store.get('small')).body).toString()).toBe('here');
      await writeFile(join(full, 'rest'), new Uint8Array(60_000)).catch(() => {});
      await expect(probeStore(store, 'tiny')).rejects.toMatchObject({ code: 'store-unavailable' });
      await rm(join(full, 'rest'), { force: true });
    },
  );

  it('by prune: store and folder of the steps are tried before anything is read', async () => {
    const path = await folder();
    await writeFile(join(path, 'file'), 'no folder');
    const job = { model: join(path, 'no-such-model'), images: join(path, 'no-images'), name: 'x' };
    await expect(prune({ ...job, store: fsStore(join(path, 'file/store')) })).rejects.toMatchObject({
      code: 'store-unavailable',
      message: expect.stringMatching(/file\/store/),
    });
    await expect(
      prune({ ...job, store: memoryStore(), work: join(path, 'file/work') }),
    ).rejects.toMatchObject({
      code: 'invalid-settings',
      message: expect.stringMatching(/file\/work.*--work/),
    });
  });

  it('a probe leaves nothing behind', async () => {
    const store = memoryStore();
    await probeStore(store, 'tiny');
    expect(await Array.fromAsync(store.list(''))).toEqual([]);
  });
});

describe('what a crash has left', () => {
  it('a lock of a dead process is taken over, whatever time it is from', async () => {
    for (const age of [-HOUR, HOUR]) {
      const path = await folder();
      const store = fsStore(path);
      const { etag } = await store.put('a/latest.json', text('1'));
      const lock = join(path, '.concertina-scratch', `${encodeURIComponent('a/latest.json')}.lock`);
      await writeFile(lock, '');
      const when = (Date.now() - age) / 1000;
      await utimes(lock, when, when);
      if (age > 0) {
        await store.put('a/latest.json', text('2'), { condition: { etag } });
        expect(existsSync(lock)).toBe(false);
      } else {
        // From an hour ahead: it is watched for half a minute, and may be interrupted meanwhile.
        const caller = new AbortController();
        const waiting = store.put('a/latest.json', text('2'), { condition: { etag }, signal: caller.signal });
        setTimeout(() => caller.abort(new Error('interrupted')), 100);
        await expect(waiting).rejects.toThrow('interrupted');
        await store.put('a/latest.json', text('2'), { condition: { etag } });
      }
      expect(Buffer.from((await store.get('a/latest.json')).body).toString()).toBe('2');
    }
  }, 90_000);

  it('is cleared by gc, and counted; what is young stays', async () => {
    const path = await folder();
    const store = fsStore(path);
    await publishTiny(store);
    const scratch = join(path, '.concertina-scratch');
    const old = (Date.now() - 48 * HOUR) / 1000;
    for (const [name, bytes] of Object.entries({ left: 5000, young: 10, 'tiny%2Flatest.json.lock': 0 })) {
      await writeFile(join(scratch, name), new Uint8Array(bytes));
      if (name !== 'young') await utimes(join(scratch, name), old, old);
    }
    const planned = await collectGarbage(store, { dryRun: true });
    expect(planned.leftovers).toEqual({ files: 2, bytes: 5000 });
    expect(await readdir(scratch)).toHaveLength(3);
    expect(await collectGarbage(store)).toMatchObject({ leftovers: { files: 2, bytes: 5000 }, bytes: 5000 });
    expect(await readdir(scratch)).toEqual(['young']);
  });
});

describe('links in a store', () => {
  it('bytes that a hard link still holds are not counted as freed', async () => {
    const path = await folder();
    const store = fsStore(join(path, 'store'));
    const { digest } = await publishTiny(store, {}, 1);
    await publishTiny(store, {}, 2);
    const version = join(path, 'store/tiny', digest);
    const sizes = new Map<string, number>();
    for await (const { key, size } of store.list(`tiny/${digest}/`)) sizes.set(key, size);
    await link(join(version, 'weights.safetensors'), join(path, 'backup'));
    const { removed, bytes } = await collectGarbage(store, { olderThan: 0, now: () => Date.now() + HOUR });
    expect(removed.map((version) => version.digest)).toEqual([digest]);
    const all = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    expect(removed[0]?.bytes).toBe(all);
    expect(bytes).toBe(all - (sizes.get(`tiny/${digest}/weights.safetensors`) ?? 0));
  });

  it('a model folder that is a link is listed as it is read; a circle ends', async () => {
    const path = await folder();
    await publishTiny(fsStore(join(path, 'elsewhere')));
    await mkdir(join(path, 'store'));
    await symlink(join(path, 'elsewhere/tiny'), join(path, 'store/linked'));
    await symlink(join(path, 'store'), join(path, 'store/circle'));
    await symlink(join(path, 'nothing'), join(path, 'store/dangling'));
    const store = fsStore(join(path, 'store'));
    expect(await listModels(store)).toEqual(['linked']);
    await expect(openCheckpoint(store, 'linked')).resolves.toMatchObject({ model: 'linked' });
  });
});
