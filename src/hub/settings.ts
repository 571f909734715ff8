import { homedir } from 'node:os';
import { join } from 'node:path';
import { type Reporter, silent } from '../progress/index.ts';

export interface HubOptions {
  /** Address of the hub. @default `HF_ENDPOINT`, or the public hub */
  readonly endpoint?: string | undefined;
  /** For private and gated models. @default `HF_TOKEN` */
  readonly token?: string | undefined;
  /** Folder in which downloaded files are kept. @default `~/.cache/concertina/models` (or below `XDG_CACHE_HOME`) */
  readonly cache?: string | undefined;
  readonly report?: Reporter | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds before the first retry; doubled for each further one. @default 500 */
  readonly retryDelay?: number | undefined;
  /** Milliseconds without a byte after which a connection is given up. @default 60000 */
  readonly timeout?: number | undefined;
}

/** {@link HubOptions} with everything filled in. */
export interface HubSettings {
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly cache: string;
  readonly report: Reporter;
  readonly signal: AbortSignal | undefined;
  readonly retryDelay: number;
  readonly timeout: number;
}

const PUBLIC_HUB = 'https://huggingface.co';

export function hubSettings(options: HubOptions, env: NodeJS.ProcessEnv = process.env): HubSettings {
  const caches = env.XDG_CACHE_HOME || join(homedir(), '.cache');
  return {
    endpoint: (options.endpoint ?? (env.HF_ENDPOINT || PUBLIC_HUB)).replace(/\/+$/, ''),
    token: (options.token ?? env.HF_TOKEN)?.trim() || undefined,
    cache: options.cache ?? join(caches, 'concertina', 'models'),
    report: options.report ?? silent,
    signal: options.signal,
    retryDelay: options.retryDelay ?? 500,
    timeout: options.timeout ?? 60_000,
  };
}
