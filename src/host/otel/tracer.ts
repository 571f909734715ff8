import type { ItemRecord, RequestRecord, Trace, Tracer } from '../../gateway/index.ts';
import type { Span } from './otlp.ts';
import type { TraceSettings } from './settings.ts';
import { formatTraceparent, parseTraceparent, randomId, type TraceContext } from './trace-context.ts';

/** Images of one request that get spans of their own; a large batch would drown the rest of its trace. */
const SPANNED_IMAGES = 32;

/** Traces of requests: a span for the request, and one for each of its phases. */
export function requestTracer(settings: TraceSettings, add: (spans: readonly Span[]) => void): Tracer {
  return {
    begin(traceparent, tracestate): Trace {
      const wall = Date.now();
      const parent = parseTraceparent(traceparent);
      const traceId = parent?.traceId ?? randomId(16);
      const own = { traceId, spanId: randomId(8), sampled: isSampled(settings, traceId, parent) };
      return {
        traceId,
        context: formatTraceparent(own),
        end(record) {
          if (!own.sampled) return;
          const state = parent && tracestate?.slice(0, 512);
          add(spansOf(record, wall, own, { parent, state }));
        },
      };
    },
  };
}

/** The samplers of OpenTelemetry's specification. */
function isSampled(
  { sampler, ratio }: TraceSettings,
  traceId: string,
  parent: TraceContext | undefined,
): boolean {
  if (sampler.startsWith('parentbased') && parent) return parent.sampled;
  if (sampler.endsWith('always_on')) return true;
  if (sampler.endsWith('always_off')) return false;
  // The right half of a trace id is random in every version of the specification: 52 bits of it are enough.
  return Number.parseInt(traceId.slice(-13), 16) / 2 ** 52 < ratio;
}

function spansOf(
  record: RequestRecord,
  wall: number,
  own: TraceContext,
  caller: { readonly parent: TraceContext | undefined; readonly state: string | undefined },
): Span[] {
  const { traceId, spanId } = own;
  const span = (name: string, from: number, to: number, attributes: Span['attributes'] = {}): Span => ({
    traceId,
    spanId: randomId(8),
    parentSpanId: spanId,
    name,
    kind: 'internal',
    start: wall + from,
    end: wall + to,
    attributes,
  });
  const { method, route, status, code, tier, model, items, durationMs, receivedMs } = record;
  const spans: Span[] = [
    {
      traceId,
      spanId,
      parentSpanId: caller.parent?.spanId,
      traceState: caller.state,
      name: `${method} ${route}`,
      kind: 'server',
      start: wall,
      end: wall + durationMs,
      failed: status >= 500,
      attributes: {
        'http.request.method': method,
        'http.route': route,
        'http.response.status_code': status,
        'error.type': code,
        'concertina.request_id': record.requestId,
        'concertina.tier': tier,
        'concertina.model': model,
        'concertina.images': items.length,
        'concertina.limited_by': record.limitedBy,
        'concertina.budget_met': record.budgetMet,
      },
    },
  ];
  if (receivedMs !== undefined) spans.push(span('receive', 0, receivedMs));
  items.slice(0, SPANNED_IMAGES).forEach((item, index) => {
    spans.push(...phasesOf(item, index, span));
  });
  const computed = items.length > 0 ? Math.max(...items.map(endOf)) : (receivedMs ?? 0);
  spans.push(span('respond', Math.min(computed, durationMs), durationMs));
  return spans;
}

const endOf = ({ beganMs, fetchMs, decodeMs, queueMs, inferMs }: ItemRecord): number =>
  beganMs + fetchMs + decodeMs + queueMs + inferMs;

/** An image's phases follow each other without gaps. */
function phasesOf(
  item: ItemRecord,
  index: number,
  span: (name: string, from: number, to: number, attributes: Span['attributes']) => Span,
): Span[] {
  let at = item.beganMs;
  const image = { 'concertina.image': index };
  const phase = (name: string, ms: number, attributes: Span['attributes'] = {}): Span => {
    const from = at;
    at += ms;
    return span(name, from, at, { ...image, ...attributes });
  };
  return [
    ...(item.fetchMs > 0 ? [phase('fetch', item.fetchMs)] : []),
    phase('queue', item.queueMs),
    phase('decode', item.decodeMs),
    phase('infer', item.inferMs, {
      'concertina.level': item.level,
      'concertina.precision': item.precision,
      'concertina.flops': item.flops,
      'concertina.fidelity': item.fidelity,
      'concertina.predicted_ms': item.predicted,
      'concertina.limited_by': item.limitedBy,
    }),
  ];
}
