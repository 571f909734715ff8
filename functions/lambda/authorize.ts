/**
 * Refuses unknown keys in front of the HTTP API's routes of tiers that need one, before a gateway's large environment starts
 * for them (a Lambda authorizer with simple responses). Reads tiers and keys, and no model.
 */
import { readKeys, withKeys } from '../../src/host/keys-source.ts';
import { readTiers } from '../../src/host/tiers-file.ts';
import { isProblem } from '../../src/problem/index.ts';
import { callerOf, type Tiers } from '../../src/serving/index.ts';

/** Keys are read again after so long, ms: a key that was withdrawn is refused then. */
const FRESH_MS = 60_000;

interface AuthorizerEvent {
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly rawPath: string;
}

let tiers: Promise<Tiers> | undefined;
let readAt = 0;

async function currentTiers(): Promise<Tiers> {
  const { CONCERTINA_CONFIG: config = '', CONCERTINA_KEYS: keys } = process.env;
  const limits = await readTiers(config);
  return keys === undefined ? limits : withKeys(limits, await readKeys(keys));
}

export async function handler({
  headers = {},
  rawPath,
}: AuthorizerEvent): Promise<{ isAuthorized: boolean }> {
  if (!tiers || Date.now() - readAt >= FRESH_MS) {
    readAt = Date.now();
    tiers = currentTiers();
    tiers.catch(() => {
      tiers = undefined;
    });
  }
  const key = /^Bearer[ ]+(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? headers['x-api-key'];
  const name = rawPath.split('/')[1] ?? '';
  const tier = (await tiers)[name];
  if (!tier) return { isAuthorized: false };
  try {
    await callerOf({ [name]: tier }, key);
    return { isAuthorized: true };
  } catch (error) {
    if (isProblem(error)) return { isAuthorized: false };
    throw error;
  }
}
