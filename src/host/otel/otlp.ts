/** OTLP in JSON (https://opentelemetry.io/docs/specs/otlp/), as far as spans need it. */

export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string | undefined;
  readonly traceState?: string | undefined;
  readonly name: string;
  readonly kind: 'server' | 'internal';
  /** Milliseconds since 1970, with fractions. */
  readonly start: number;
  readonly end: number;
  readonly attributes: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly failed?: boolean;
}

/** `SpanKind` and `StatusCode` of the protocol. */
const KINDS = { internal: 1, server: 2 } as const;
const STATUS_ERROR = 2;

/** The body of `POST /v1/traces`. */
export function otlpBody(
  resource: Readonly<Record<string, string>>,
  scope: { readonly name: string; readonly version: string },
  spans: readonly Span[],
) {
  return {
    resourceSpans: [
      {
        resource: { attributes: attributesOf(resource) },
        scopeSpans: [{ scope, spans: spans.map(encode) }],
      },
    ],
  };
}

function encode({
  traceId,
  spanId,
  parentSpanId,
  traceState,
  name,
  kind,
  start,
  end,
  attributes,
  failed,
}: Span) {
  return {
    traceId,
    spanId,
    ...(parentSpanId !== undefined && { parentSpanId }),
    ...(traceState !== undefined && { traceState }),
    name,
    kind: KINDS[kind],
    startTimeUnixNano: nanoseconds(start),
    endTimeUnixNano: nanoseconds(Math.max(start, end)),
    attributes: attributesOf(attributes),
    status: failed ? { code: STATUS_ERROR } : {},
  };
}

/** 64-bit integers are strings in the protocol's JSON. */
const nanoseconds = (ms: number): string => (BigInt(Math.round(1000 * ms)) * 1000n).toString();

function attributesOf(attributes: Span['attributes']) {
  return Object.entries(attributes).flatMap(([key, value]) =>
    value === undefined ? [] : [{ key, value: anyValue(value) }],
  );
}

function anyValue(value: string | number | boolean): Record<string, string | number | boolean> {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}
