import type { GatewayLog } from '../gateway/index.ts';
import { isProblem, Problem } from '../problem/index.ts';
import { OPEN_TIERS, type Tiers } from '../serving/index.ts';
import { type KeysByTier, readKeys, withKeys } from './keys-source.ts';
import { readTiers, watchTiers } from './tiers-file.ts';

export interface TiersSource {
  /** Tiers configuration; one open tier if absent. */
  readonly config?: string | undefined;
  /** Keys that are kept outside of it: a file, or `secretsmanager:<id>`. */
  readonly keys?: string | undefined;
  /** Serve this tier only. */
  readonly tier?: string | undefined;
}

export interface LiveTiers {
  readonly current: Tiers;
  /** Who is told about every change from now on. */
  onChange: (tiers: Tiers) => void;
  /** Reads the keys again; old ones stay where that fails, and it is noted. */
  refreshKeys(): Promise<void>;
  stop(): void;
}

/**
 * The tiers of a gateway, kept at what their file and their keys say.
 * @param keysMs how often keys are read again, ms; 0 only when asked
 * @throws Problem('invalid-settings')
 */
export async function liveTiers(
  source: TiersSource,
  { log, keysMs }: { readonly log: GatewayLog; readonly keysMs: number },
): Promise<LiveTiers> {
  const { config, keys: address, tier } = source;
  let limits = config === undefined ? OPEN_TIERS : await readTiers(config);
  let keys: KeysByTier = address === undefined ? {} : await readKeys(address);
  const together = (): Tiers => {
    if (tier !== undefined && !limits[tier])
      throw new Problem(
        'invalid-settings',
        `There is no tier "${tier}" in ${config ?? 'the default configuration'}. There are: ${Object.keys(limits).join(', ')}.`,
      );
    return address === undefined ? limits : withKeys(limits, keys);
  };
  let current = together();
  const apply = () => {
    current = together();
    live.onChange(current);
  };
  const failed = (problem: Problem) => log.note(`The old tiers stay: ${problem.message}`);
  const unwatch =
    config === undefined
      ? () => {}
      : watchTiers(
          config,
          (read) => {
            const before = limits;
            try {
              limits = read;
              apply();
            } catch (error) {
              limits = before;
              throw error;
            }
            log.note(`${config} was read again: tiers ${Object.keys(current).join(', ')}`);
          },
          failed,
        );
  const refreshKeys = async (): Promise<void> => {
    if (address === undefined) return;
    const before = keys;
    try {
      keys = await readKeys(address);
      if (JSON.stringify(keys) === JSON.stringify(before)) return;
      apply();
      log.note(`${address} was read again.`);
    } catch (error) {
      keys = before;
      if (!isProblem(error)) throw error;
      failed(error);
    }
  };
  const timer =
    keysMs > 0 && address !== undefined ? setInterval(() => void refreshKeys(), keysMs) : undefined;
  timer?.unref();
  const live: LiveTiers = {
    onChange: () => {},
    get current() {
      return current;
    },
    refreshKeys,
    stop() {
      unwatch();
      clearInterval(timer);
    },
  };
  return live;
}
