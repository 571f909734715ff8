import { parse } from 'yaml';
import { z } from 'zod';
import { Problem } from '../problem/index.ts';
import { parseTiers, type Tiers } from '../serving/index.ts';

/** Of a Worker's isolate, in production (developers.cloudflare.com/workers/platform/limits, November 2026). */
const ISOLATE_MB = 128;

const number = z.coerce.number();

const VariablesSchema = z.object({
  /** Keys of the bucket start with this. */
  CONCERTINA_PREFIX: z
    .string()
    .regex(/^[^/].*[^/]$/)
    .optional(),
  /** Models to serve, separated by commas; all of the bucket if absent. */
  CONCERTINA_MODELS: z
    .string()
    .optional()
    .transform((text) => text?.split(',').map((part) => part.trim())),
  /** Tiers configuration, YAML or JSON; the one that was deployed with the Worker if absent. */
  CONCERTINA_TIERS: z.string().optional(),
  /** Address of the native gateway, where there is one; `{tier}` in it stands for the caller's tier. */
  CONCERTINA_ORIGIN: z
    .string()
    .optional()
    .transform((text) => (text === '' ? undefined : text?.replace(/\/+$/, '')))
    .refine((text) => text === undefined || /^https?:\/\//.test(text), 'must be an http(s) address'),
  /** What the origin knows this Worker by (its own `CONCERTINA_ORIGIN_SECRET`); a secret of the Worker. */
  CONCERTINA_ORIGIN_SECRET: z.string().min(16).optional(),
  /** Memory that the isolate may take, MB. */
  CONCERTINA_MEMORY_MB: number.positive().max(ISOLATE_MB).default(ISOLATE_MB),
  /** Pixels of one picture; each takes 11 bytes while it is decoded, which the model then cannot have. */
  CONCERTINA_PIXELS: number.int().positive().default(2_000_000),
  /** Bytes of a request body that is answered here. */
  CONCERTINA_BODY_BYTES: number
    .int()
    .positive()
    .default(4 * 2 ** 20),
  /** Time for a body to arrive, ms, and images of one request. */
  CONCERTINA_BODY_MS: number.int().positive().optional(),
  CONCERTINA_INPUTS: number.int().positive().optional(),
  /** How often the bucket is asked for a newer version, at most, seconds. */
  CONCERTINA_POLL_SECONDS: number.positive().default(30),
});

export interface EdgeSettings {
  readonly prefix: string | undefined;
  readonly models: readonly string[] | undefined;
  readonly tiers: Tiers;
  readonly origin: string | undefined;
  readonly originSecret: string | undefined;
  readonly memoryBytes: number;
  readonly pixels: number;
  readonly bodyBytes: number;
  readonly bodyMs: number | undefined;
  readonly inputs: number | undefined;
  readonly pollMs: number;
}

/**
 * The settings of a Worker, from its variables.
 * @param deployedTiers the configuration that was bundled, YAML
 * @throws Problem('invalid-settings') naming the variable
 */
export function edgeSettings(
  variables: Readonly<Record<string, unknown>>,
  deployedTiers: string,
): EdgeSettings {
  const parsed = VariablesSchema.safeParse(variables);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new Problem('invalid-settings', `${issue?.path.join('.')}: ${issue?.message}.`);
  }
  const { data } = parsed;
  return {
    prefix: data.CONCERTINA_PREFIX,
    models: data.CONCERTINA_MODELS,
    tiers: parseTiers(parse(data.CONCERTINA_TIERS ?? deployedTiers, { maxAliasCount: 20 })),
    origin: data.CONCERTINA_ORIGIN,
    originSecret: data.CONCERTINA_ORIGIN_SECRET,
    memoryBytes: data.CONCERTINA_MEMORY_MB * 2 ** 20,
    pixels: data.CONCERTINA_PIXELS,
    bodyBytes: data.CONCERTINA_BODY_BYTES,
    bodyMs: data.CONCERTINA_BODY_MS,
    inputs: data.CONCERTINA_INPUTS,
    pollMs: 1000 * data.CONCERTINA_POLL_SECONDS,
  };
}
