import { Problem } from '../problem/index.ts';
import type { Console } from './console.ts';

/** A signal that fires at the first Ctrl+C or SIGTERM; the second one ends the process at once. */
export function interruption(message: string, console: Console): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      console.say(`\nInterrupted. ${message}`);
      controller.abort(new Problem('aborted', `Interrupted. ${message}`));
      process.once(name, () => process.exit(130));
    });
  }
  return controller.signal;
}
