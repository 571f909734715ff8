import { z } from 'zod';
import { DEVICES, PACKINGS, PRECISIONS } from '../engine/index.ts';
import { gatewayLog, PAGES } from '../gateway/index.ts';
import { Problem } from '../problem/index.ts';
import { openStore } from '../storage/node.ts';
import { imageFetcher } from './fetch-image.ts';
import { traceSettings } from './otel/index.ts';
import type { ServerOptions } from './server.ts';

const list = z
  .string()
  .optional()
  .transform((text) => text?.split(',').map((part) => part.trim()));

const EnvironmentSchema = z.object({
  CONCERTINA_STORE: z.string().min(1),
  CONCERTINA_CONFIG: z.string().optional(),
  CONCERTINA_KEYS: z.string().min(1).optional(),
  CONCERTINA_TIER: z.string().optional(),
  CONCERTINA_BASE_PATH: z.string().startsWith('/').optional(),
  CONCERTINA_MODELS: list,
  CONCERTINA_ALLOW_URLS: list,
  CONCERTINA_DEVICE: z.enum(DEVICES).optional(),
  CONCERTINA_PRECISION: z.enum(PRECISIONS).optional(),
  CONCERTINA_PACKING: z.enum(['auto', ...PACKINGS]).optional(),
  CONCERTINA_WORKERS: z.coerce.number().int().positive().optional(),
  CONCERTINA_THREADS: z.coerce.number().int().positive().optional(),
  CONCERTINA_EXPOSE: z
    .string()
    .optional()
    .transform((text) => text?.split(',').flatMap((part) => (part.trim() === 'none' ? [] : [part.trim()])))
    .pipe(z.array(z.enum(PAGES)).optional()),
  CONCERTINA_POLL_SECONDS: z.coerce.number().nonnegative().optional(),
  CONCERTINA_ORIGIN_SECRET: z.string().min(16).optional(),
  CONCERTINA_BODY_BYTES: z.coerce.number().int().positive().optional(),
  CONCERTINA_BODY_MS: z.coerce.number().int().positive().optional(),
  CONCERTINA_INPUTS: z.coerce.number().int().positive().optional(),
  CONCERTINA_PIXELS: z.coerce.number().int().positive().optional(),
  PORT: z.coerce.number().int().min(0).max(65_535).optional(),
  HOST: z.string().optional(),
});

/**
 * The options of a gateway that is configured by its environment alone (containers, Lambda).
 * @throws Problem('invalid-settings') naming the variable
 */
export async function optionsFromEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<ServerOptions> {
  const parsed = EnvironmentSchema.safeParse(environment);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new Problem('invalid-settings', `${issue?.path.join('.')}: ${issue?.message}.`);
  }
  const settings = parsed.data;
  return {
    store: await openStore(settings.CONCERTINA_STORE),
    config: settings.CONCERTINA_CONFIG,
    keys: settings.CONCERTINA_KEYS,
    tier: settings.CONCERTINA_TIER,
    basePath: settings.CONCERTINA_BASE_PATH,
    models: settings.CONCERTINA_MODELS,
    fetchImage: settings.CONCERTINA_ALLOW_URLS && imageFetcher({ allow: settings.CONCERTINA_ALLOW_URLS }),
    device: settings.CONCERTINA_DEVICE,
    precision: settings.CONCERTINA_PRECISION,
    packing: settings.CONCERTINA_PACKING,
    workers: settings.CONCERTINA_WORKERS,
    threads: settings.CONCERTINA_THREADS,
    expose: settings.CONCERTINA_EXPOSE,
    pollMs:
      settings.CONCERTINA_POLL_SECONDS === undefined ? undefined : 1000 * settings.CONCERTINA_POLL_SECONDS,
    originSecret: settings.CONCERTINA_ORIGIN_SECRET,
    limits: {
      bodyBytes: settings.CONCERTINA_BODY_BYTES,
      bodyMs: settings.CONCERTINA_BODY_MS,
      inputs: settings.CONCERTINA_INPUTS,
      pixels: settings.CONCERTINA_PIXELS,
    },
    port: settings.PORT,
    host: settings.HOST,
    traces: traceSettings(environment),
    log: gatewayLog('json', (line) => void process.stdout.write(`${line}\n`)),
  };
}
