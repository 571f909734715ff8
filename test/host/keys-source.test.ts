import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { handler } from '../../functions/lambda/authorize.ts';
import { liveTiers } from '../../src/host/live-tiers.ts';
import { callerOf, createKey } from '../../src/serving/index.ts';

let folder: string;
let config: string;
let keys: string;
const log = { request() {}, internal() {}, note() {} };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'concertina-keys-'));
  [config, keys] = [join(folder, 'tiers.yaml'), join(folder, 'keys.yaml')];
  await writeFile(config, 'tiers: { free: { default: true }, premium: {} }');
});

describe('keys outside of the tiers file', () => {
  it('are taken in, and change without a restart', async () => {
    const [first, second] = [await createKey(), await createKey()];
    await writeFile(keys, JSON.stringify({ premium: [first.hash] }));
    const tiers = await liveTiers({ config, keys }, { log, keysMs: 0 });
    expect(await callerOf(tiers.current, first.key)).toMatchObject({ tier: 'premium' });
    await writeFile(keys, `premium: ["${second.hash}"]`);
    const told: string[][] = [];
    tiers.onChange = (changed) => told.push([...(changed.premium?.keys ?? [])]);
    await tiers.refreshKeys();
    expect(told).toEqual([[second.hash]]);
    await expect(callerOf(tiers.current, first.key)).rejects.toMatchObject({ code: 'unknown-key' });
    await writeFile(keys, 'gold: []');
    await tiers.refreshKeys();
    expect(await callerOf(tiers.current, second.key)).toMatchObject({ tier: 'premium' });
    tiers.stop();
  });

  it.each(['gold: []', 'premium: [secret]', 'premium: 5', '[', 'premium: [sha256:zz:zz]'])(
    'are refused as "%s", without being repeated',
    async (text) => {
      await writeFile(keys, text);
      const refused = await liveTiers({ config, keys }, { log, keysMs: 0 }).catch((error: Error) => error);
      expect(refused).toMatchObject({ code: 'invalid-settings' });
      expect(String(refused)).not.toContain('zz:zz');
    },
  );
});

it('the authorizer lets known keys through to their own tier, and those without one nowhere', async () => {
  const { key, hash } = await createKey();
  await writeFile(keys, JSON.stringify({ premium: [hash] }));
  vi.stubEnv('CONCERTINA_CONFIG', config);
  vi.stubEnv('CONCERTINA_KEYS', keys);
  const ask = async (path: string, authorization?: string) =>
    (await handler({ rawPath: path, headers: authorization === undefined ? {} : { authorization } }))
      .isAuthorized;
  expect(await ask('/premium/v1/embed', `Bearer ${key}`)).toBe(true);
  expect(await ask('/premium/v1/embed', `Bearer ${key}x`)).toBe(false);
  expect(await ask('/premium/v1/embed')).toBe(false);
  expect(await ask('/gold/v1/embed', `Bearer ${key}`)).toBe(false);
  expect(await ask('/free/v1/embed')).toBe(true);
});
