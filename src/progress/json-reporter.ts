import { remainingTime } from './eta.ts';
import type { TextOptions } from './line-reporter.ts';
import type { Reporter } from './reporter.ts';

/** Progress events closer together than this (ms) are left out. */
const EVENT_INTERVAL = 500;

/**
 * One JSON object per line: `{"event":"step","name":…,"total":…}`, `{"event":"progress","name":…,"done":…,"total":…,
 * "remaining":ms,"detail":…}`, `{"event":"end","name":…,"took":ms,"detail":…}`, `{"event":"note","message":…}`.
 */
export function jsonReporter({ write, now }: TextOptions): Reporter {
  const event = (members: Readonly<Record<string, unknown>>) => write(`${JSON.stringify(members)}\n`);
  return {
    step(name, total) {
      const start = now();
      let sent = start;
      event({ event: 'step', name, total });
      return {
        advance(done, detail) {
          if (now() - sent < EVENT_INTERVAL) return;
          sent = now();
          const left = remainingTime(done, total, now() - start);
          const remaining = left === undefined ? undefined : Math.round(left);
          event({ event: 'progress', name, done, total, remaining, detail });
        },
        end(detail) {
          event({ event: 'end', name, took: Math.round(now() - start), detail });
        },
      };
    },
    note: (message) => event({ event: 'note', message }),
  };
}
