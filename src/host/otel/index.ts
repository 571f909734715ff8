export { SpanExporter } from './exporter.ts';
export { type TraceSettings, traceSettings } from './settings.ts';
export { requestTracer } from './tracer.ts';
