import type { Problem } from '../problem/index.ts';
import type { RequestRecord } from './record.ts';

export type LogFormat = 'json' | 'text' | 'none';

/** What a gateway writes down. Never image data, never keys. */
export interface GatewayLog {
  request(record: RequestRecord): void;
  internal(problem: Problem, requestId: string): void;
  note(message: string): void;
}

/** @param write takes one line, without its end */
export function gatewayLog(format: LogFormat, write: (line: string) => void): GatewayLog {
  if (format === 'none') return { request() {}, internal() {}, note() {} };
  if (format === 'text') {
    return {
      request: (record) => write(textLine(record)),
      internal: (problem, requestId) => write(`internal error ${requestId}: ${causeOf(problem)}`),
      note: write,
    };
  }
  const json = (entry: Record<string, unknown>) =>
    write(JSON.stringify({ time: new Date().toISOString(), ...entry }));
  return {
    request({ items, durationMs, ...record }) {
      json({
        level: record.status >= 500 ? 'error' : 'info',
        ...record,
        durationMs: round(durationMs),
        images: items.length,
        levels: items.slice(0, 16).map((item) => item.level),
        fidelity: items.length > 0 ? Math.min(...items.map((item) => item.fidelity)) : undefined,
        inferMs: items.length > 0 ? round(Math.max(...items.map((item) => item.inferMs))) : undefined,
        queueMs: items.length > 0 ? round(Math.max(...items.map((item) => item.queueMs))) : undefined,
      });
    },
    internal: (problem, requestId) =>
      json({ level: 'error', event: 'internal-error', requestId, cause: causeOf(problem) }),
    note: (message) => json({ level: 'info', event: 'note', message }),
  };
}

function textLine(record: RequestRecord): string {
  const { method, route, status, code, items, durationMs, limitedBy, forwarded } = record;
  const levels = [...new Set(items.map(({ level }) => level))].join(',');
  const applied = items.length > 0 ? ` level=${levels} limited-by=${limitedBy}` : '';
  const sent = forwarded === undefined ? '' : ` forwarded=${forwarded}`;
  return `${method} ${route} ${status}${code ? ` ${code}` : ''} ${round(durationMs)} ms${applied}${sent}`;
}

const round = (ms: number): number => Math.round(ms * 100) / 100;

function causeOf(problem: Problem): string {
  const { cause } = problem;
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause ?? problem.message);
}
