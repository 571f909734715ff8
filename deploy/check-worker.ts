import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { unstable_readConfig } from 'wrangler';
import { z } from 'zod';
import { rateBindingName } from '../src/edge/index.ts';
import type { Tiers } from '../src/serving/index.ts';

const run = promisify(execFile);
export const WRANGLER_CONFIG = join(import.meta.dirname, 'wrangler.jsonc');

/** Compressed size of a Worker on the paid plan (developers.cloudflare.com/workers/platform/limits, November 2026). */
const LIMIT_KIB = 10 * 1024;

export interface WorkerBundle {
  /** As it is, and compressed, KiB. */
  readonly kib: number;
  readonly gzipKib: number;
}

/** Bundles the Worker as a deployment would, without an account and without the network. */
export async function bundleWorker(): Promise<WorkerBundle> {
  const folder = await mkdtemp(join(tmpdir(), 'concertina-worker-'));
  try {
    const words = ['wrangler', 'deploy', '--dry-run', '--config', WRANGLER_CONFIG, '--outdir', folder];
    const env = { ...process.env, WRANGLER_SEND_METRICS: 'false', CI: 'true', FORCE_COLOR: '0' };
    const { stdout } = await run('npx', words, { cwd: join(import.meta.dirname, '..'), env });
    const [, kib, gzipKib] = /Total Upload: ([\d.]+) KiB \/ gzip: ([\d.]+) KiB/.exec(stdout) ?? [];
    if (!kib || !gzipKib) throw new Error(`wrangler did not say how large the Worker is:\n${stdout}`);
    return { kib: Number(kib), gzipKib: Number(gzipKib) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const RateLimits = z.array(
  z.object({ name: z.string(), simple: z.object({ limit: z.number(), period: z.number() }) }),
);

/** What is wrong with the Worker's size and its rate limits, which must be those of the tiers. */
export function workerErrors({ gzipKib }: WorkerBundle, tiers: Tiers): string[] {
  const errors: string[] = [];
  if (gzipKib > LIMIT_KIB) errors.push(`The Worker has ${gzipKib} KiB compressed; ${LIMIT_KIB} are allowed.`);
  const ratelimits = RateLimits.parse(unstable_readConfig({ config: WRANGLER_CONFIG }).ratelimits);
  for (const [tier, { rateLimit }] of Object.entries(tiers)) {
    const name = rateBindingName(tier);
    const bound = ratelimits.find((limit) => limit.name === name)?.simple;
    const same = bound?.limit === rateLimit?.requests && bound?.period === rateLimit?.windowSeconds;
    if (!same)
      errors.push(
        `ratelimits.${name} of deploy/wrangler.jsonc must be ${JSON.stringify(rateLimit)} as in the tiers.`,
      );
  }
  return errors;
}
