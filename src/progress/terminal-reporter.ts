import { formatDuration, remainingTime } from './eta.ts';
import type { TextOptions } from './line-reporter.ts';
import type { Reporter } from './reporter.ts';

export interface TerminalOptions extends TextOptions {
  /** Columns of the terminal now. */
  readonly columns: () => number;
}

/** Redraws closer together than this (ms) would only cost time. */
const REDRAW_INTERVAL = 80;
const BAR_WIDTH = 24;
const CLEAR_LINE = '\r\u001b[2K';

/** A bar that is redrawn in place, with an ETA; a finished step leaves one line. */
export function terminalReporter({ write, now, columns }: TerminalOptions): Reporter {
  let bar = '';
  return {
    step(name, total) {
      const start = now();
      let [drawn, last] = [Number.NEGATIVE_INFINITY, ''];
      return {
        advance(done, detail) {
          last = detail ?? last;
          if (now() - drawn < REDRAW_INTERVAL && done < total) return;
          drawn = now();
          const left = remainingTime(done, total, now() - start);
          const eta = left === undefined ? '' : `ETA ${formatDuration(left)}`;
          bar = oneLine([`${name} ${drawBar(done, total)} ${done}/${total}`, eta, last], columns());
          write(`${CLEAR_LINE}${bar}`);
        },
        end(detail) {
          const took = formatDuration(now() - start);
          write(`${CLEAR_LINE}${oneLine([`✓ ${name}`, `${total} in ${took}`, detail ?? last], columns())}\n`);
          bar = '';
        },
      };
    },
    note: (message) => write(`${bar ? CLEAR_LINE : ''}${message}\n${bar}`),
  };
}

function drawBar(done: number, total: number): string {
  const filled = total > 0 ? Math.round((BAR_WIDTH * Math.min(done, total)) / total) : BAR_WIDTH;
  return `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)}`;
}

/** The parts that are not empty on one line, cut so that the terminal does not wrap it. */
function oneLine(parts: readonly string[], columns: number): string {
  return parts
    .filter((part) => part !== '')
    .join('  ')
    .slice(0, Math.max(1, columns - 1));
}
