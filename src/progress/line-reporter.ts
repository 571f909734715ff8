import { formatDuration } from './eta.ts';
import type { Reporter } from './reporter.ts';

export interface TextOptions {
  readonly write: (text: string) => void;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
}

/** One line per finished step, for logs and pipes. */
export function lineReporter({ write, now }: TextOptions): Reporter {
  return {
    step(name, total) {
      const start = now();
      let last = '';
      return {
        advance(_done, detail) {
          last = detail ?? last;
        },
        end(detail) {
          const end = detail ?? last;
          write(`${name}: ${total} in ${formatDuration(now() - start)}${end ? `, ${end}` : ''}\n`);
        },
      };
    },
    note: (message) => write(`${message}\n`),
  };
}
