import { z } from 'zod';
import { Problem } from '../../problem/index.ts';

const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;
export type SamplerName = (typeof SAMPLERS)[number];

const milliseconds = z.coerce.number().nonnegative();
const count = z.coerce.number().int().positive();
/** `key=value,key=value`, values percent-encoded (W3C Baggage, as OpenTelemetry reads it). */
const pairs = z.string().transform((text, context) => {
  const entries: [string, string][] = [];
  for (const pair of text.split(',').filter((part) => part.trim() !== '')) {
    const equals = pair.indexOf('=');
    try {
      if (equals < 1) throw new Error('no key');
      entries.push([pair.slice(0, equals).trim(), decodeURIComponent(pair.slice(equals + 1).trim())]);
    } catch {
      context.addIssue({
        code: 'custom',
        message: `"${pair.slice(0, equals < 1 ? 20 : equals)}" is not key=value`,
      });
    }
  }
  return entries;
});

/** The variables of OpenTelemetry that this exporter honours; the empty string is as good as none. */
const EnvironmentSchema = z.object({
  OTEL_SDK_DISABLED: z.string().default('false'),
  OTEL_TRACES_EXPORTER: z.enum(['otlp', 'none']).default('otlp'),
  OTEL_EXPORTER_OTLP_ENDPOINT: z.url().optional(),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: z.url().optional(),
  OTEL_EXPORTER_OTLP_HEADERS: pairs.default([]),
  OTEL_EXPORTER_OTLP_TRACES_HEADERS: pairs.default([]),
  OTEL_EXPORTER_OTLP_TIMEOUT: milliseconds.default(10_000),
  OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: milliseconds.optional(),
  OTEL_SERVICE_NAME: z.string().optional(),
  OTEL_RESOURCE_ATTRIBUTES: pairs.default([]),
  OTEL_TRACES_SAMPLER: z.enum(SAMPLERS).default('parentbased_always_on'),
  OTEL_TRACES_SAMPLER_ARG: z.coerce.number().min(0).max(1).default(1),
  OTEL_BSP_SCHEDULE_DELAY: milliseconds.default(5000),
  OTEL_BSP_MAX_QUEUE_SIZE: count.default(2048),
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: count.default(512),
});

export interface TraceSettings {
  /** Where OTLP/HTTP is spoken, path included. */
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** What the service is: `service.name` and the attributes of the environment. */
  readonly resource: Readonly<Record<string, string>>;
  readonly sampler: SamplerName;
  readonly ratio: number;
  readonly delayMs: number;
  readonly queue: number;
  readonly batch: number;
}

/**
 * @returns `undefined` where nothing asks for traces: no endpoint, or `OTEL_SDK_DISABLED`, or `OTEL_TRACES_EXPORTER=none`
 * @throws Problem('invalid-settings') naming the variable
 */
export function traceSettings(
  environment: Readonly<Record<string, string | undefined>>,
): TraceSettings | undefined {
  const given = Object.entries(environment).filter(
    ([name, value]) => name.startsWith('OTEL_') && value !== '',
  );
  const parsed = EnvironmentSchema.safeParse(Object.fromEntries(given));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new Problem('invalid-settings', `${issue?.path.join('.')}: ${issue?.message}.`);
  }
  const settings = parsed.data;
  const base = settings.OTEL_EXPORTER_OTLP_ENDPOINT?.replace(/\/$/, '');
  const endpoint = settings.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? (base && `${base}/v1/traces`);
  const off = settings.OTEL_SDK_DISABLED.toLowerCase() === 'true' || settings.OTEL_TRACES_EXPORTER === 'none';
  if (off || !endpoint) return undefined;
  const attributes = Object.fromEntries(settings.OTEL_RESOURCE_ATTRIBUTES);
  return {
    endpoint,
    headers: Object.fromEntries([
      ...settings.OTEL_EXPORTER_OTLP_HEADERS,
      ...settings.OTEL_EXPORTER_OTLP_TRACES_HEADERS,
    ]),
    timeoutMs: settings.OTEL_EXPORTER_OTLP_TRACES_TIMEOUT ?? settings.OTEL_EXPORTER_OTLP_TIMEOUT,
    resource: {
      ...attributes,
      'service.name': settings.OTEL_SERVICE_NAME ?? attributes['service.name'] ?? 'concertina',
    },
    sampler: settings.OTEL_TRACES_SAMPLER,
    ratio: settings.OTEL_TRACES_SAMPLER_ARG,
    delayMs: settings.OTEL_BSP_SCHEDULE_DELAY,
    queue: settings.OTEL_BSP_MAX_QUEUE_SIZE,
    batch: settings.OTEL_BSP_MAX_EXPORT_BATCH_SIZE,
  };
}
