import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';
import { Problem } from '../problem/index.ts';
import { parseTiers, type Tiers } from '../serving/index.ts';

/** Hashes of API keys by tier, as `concertina keys create` prints them. */
const KeysSchema = z.record(z.string(), z.array(z.string()));
export type KeysByTier = z.infer<typeof KeysSchema>;

const SECRET = 'secretsmanager:';

/**
 * Reads the hashes of API keys that are kept outside of the tiers file, YAML or JSON: `premium: [sha256:…]`.
 * @param address a file, or `secretsmanager:` and the name or ARN of a secret of AWS Secrets Manager
 * @throws Problem('invalid-settings')
 */
export async function readKeys(address: string): Promise<KeysByTier> {
  let text: string;
  try {
    text = address.startsWith(SECRET)
      ? await secret(address.slice(SECRET.length))
      : await readFile(address, 'utf8');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Problem(
      'invalid-settings',
      `The keys ${address} cannot be read: ${reason}`,
      { keys: address },
      { cause },
    );
  }
  try {
    return KeysSchema.parse(parse(text, { maxAliasCount: 20 }) ?? {});
  } catch (cause) {
    // What is in it is not repeated: it is nobody's business.
    throw new Problem(
      'invalid-settings',
      `The keys ${address} are not lists of hashes by tier. They look like: premium: ["sha256:…"].`,
      { keys: address },
      { cause },
    );
  }
}

/**
 * The tiers with further keys.
 * @throws Problem('invalid-settings') for a tier that does not exist, and for what is not a hash
 */
export function withKeys(tiers: Tiers, keys: KeysByTier): Tiers {
  const unknown = Object.keys(keys).find((name) => !tiers[name]);
  if (unknown !== undefined)
    throw new Problem(
      'invalid-settings',
      `There are keys for a tier "${unknown}", which does not exist. There are: ${Object.keys(tiers).join(', ')}.`,
    );
  const all = Object.entries(tiers).map(([name, tier]) => [
    name,
    { ...tier, keys: [...new Set([...tier.keys, ...(keys[name] ?? [])])] },
  ]);
  return parseTiers({ tiers: Object.fromEntries(all) });
}

async function secret(id: string): Promise<string> {
  // Loaded when it is needed: only deployments on AWS talk to it.
  const { GetSecretValueCommand, SecretsManagerClient } = await import('@aws-sdk/client-secrets-manager');
  const client = new SecretsManagerClient({});
  try {
    const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId: id }));
    if (SecretString === undefined) throw new Error('the secret holds no text');
    return SecretString;
  } finally {
    client.destroy();
  }
}
