import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { callerOf, createKey, type Digest, parseTiers } from '../../src/serving/index.ts';

const unknown = expect.objectContaining({ code: 'unknown-key' });

describe('API keys', () => {
  it('are compared with every hash once, wrong ones every time, and anew when the configuration changes', async () => {
    const keys = await Promise.all([createKey(), createKey(), createKey()]);
    const [first, second, third] = keys.map(({ hash }) => hash);
    const tiersOf = (gold: readonly (string | undefined)[]) =>
      parseTiers({ tiers: { gold: { keys: gold }, silver: { keys: [third] } } });
    let digests = 0;
    const digest: Digest = (bytes) => {
      digests++;
      return createHash('sha256').update(bytes).digest();
    };
    const tiers = tiersOf([first, second]);
    const ask = async (of: typeof tiers, key: string | undefined) => {
      const before = digests;
      const { tier } = await callerOf(of, key, digest);
      return { tier, digests: digests - before };
    };
    expect(await ask(tiers, keys[1]?.key)).toEqual({ tier: 'gold', digests: 3 });
    expect(await ask(tiers, keys[1]?.key)).toEqual({ tier: 'gold', digests: 0 });
    expect(await ask(tiers, keys[2]?.key)).toEqual({ tier: 'silver', digests: 3 });
    for (let round = 0; round < 2; round++) {
      const before = digests;
      await expect(callerOf(tiers, `${keys[1]?.key}0`, digest)).rejects.toEqual(unknown);
      expect(digests - before).toBe(3);
    }
    // The second key was taken back.
    await expect(callerOf(tiersOf([first]), keys[1]?.key, digest)).rejects.toEqual(unknown);
  });

  it('have the hash that any SHA-256 gives', async () => {
    const { key, hash } = await createKey();
    const [, salt = '', digest] = hash.split(':');
    const expected = createHash('sha256').update(Buffer.from(salt, 'hex')).update(key).digest('hex');
    expect(digest).toBe(expected);
  });
});
