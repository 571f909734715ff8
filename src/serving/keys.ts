import { Problem } from '../problem/index.ts';
import type { Tiers } from './tiers.ts';

const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
const unhex = (text: string): Uint8Array =>
  Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16));

/**
 * A new API key, and what the configuration keeps of it. The key itself is stored nowhere.
 * @param tier said by the key, so that a router can send its caller to the tier's gateways; it is the hash that admits
 */
export async function createKey(tier?: string): Promise<{ key: string; hash: string }> {
  const key = `ck_${tier === undefined ? '' : `${tier}_`}${hex(crypto.getRandomValues(new Uint8Array(24)))}`;
  const salt = crypto.getRandomValues(new Uint8Array(16));
  return { key, hash: `sha256:${hex(salt)}:${hex(await sha256(salted(salt, key)))}` };
}

/** SHA-256 of some bytes, at once where the platform can. */
export type Digest = (bytes: Uint8Array<ArrayBuffer>) => Uint8Array | Promise<Uint8Array>;

const sha256: Digest = async (bytes) => new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));

/** Whose request it is. */
export interface Caller {
  readonly tier: string;
  /** Whose rate it counts against: a known key's own, or that of all who have none. */
  readonly account: string;
}

/** All callers without a known key share one rate: a key that nobody gave out must not buy another. */
const ANONYMOUS = 'anonymous';

/**
 * The tier of a request, and whose rate it counts against.
 * @param key from `Authorization: Bearer …`, or `undefined`
 * @throws Problem('missing-key') when there is no default tier, Problem('unknown-key')
 */
export async function callerOf(
  tiers: Tiers,
  key: string | undefined,
  digest: Digest = sha256,
): Promise<Caller> {
  const fallback = Object.entries(tiers).find(([, tier]) => tier.default)?.[0];
  const secured = Object.values(tiers).some((tier) => tier.keys.length > 0);
  if (key !== undefined && (secured || fallback === undefined)) {
    const found = await tierOfKey(tiers, key, digest);
    if (found !== undefined) return { tier: found, account: key };
    // A gateway with an open tier also serves clients that insist on sending some key.
    if (secured)
      throw new Problem(
        'unknown-key',
        'The API key is not known here. Ask the operator for one (concertina keys create).',
      );
  }
  if (fallback) return { tier: fallback, account: ANONYMOUS };
  throw new Problem('missing-key', 'Send an API key: Authorization: Bearer <key>.');
}

/** Keys that were found, with their tiers, as long as a configuration is in force: hashes of many keys are worth a comparison once. */
const found = new WeakMap<Tiers, Map<string, string>>();

async function tierOfKey(tiers: Tiers, key: string, digest: Digest): Promise<string | undefined> {
  const before = found.get(tiers) ?? new Map<string, string>();
  found.set(tiers, before);
  const known = before.get(key);
  if (known !== undefined) return known;
  let tierName: string | undefined;
  // Every hash is compared, so that the time of a wrong key tells nothing.
  for (const [name, tier] of Object.entries(tiers)) {
    for (const hash of tier.keys) if (await matches(key, hash, digest)) tierName = name;
  }
  if (tierName !== undefined) before.set(key, tierName);
  return tierName;
}

async function matches(key: string, hash: string, digest: Digest): Promise<boolean> {
  const { salt, expected } = parsed(hash);
  const actual = await digest(salted(salt, key));
  let difference = actual.length ^ expected.length;
  for (let i = 0; i < actual.length; i++) difference |= (actual[i] ?? 0) ^ (expected[i] ?? 0);
  return difference === 0;
}

function salted(salt: Uint8Array, key: string): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(key);
  const both = new Uint8Array(salt.length + text.length);
  both.set(salt);
  both.set(text, salt.length);
  return both;
}

/** Of a stored hash. */
function parsed(hash: string): { salt: Uint8Array; expected: Uint8Array } {
  const [, salt = '', expected = ''] = hash.split(':');
  return { salt: unhex(salt), expected: unhex(expected) };
}
