import { jsonReporter, lineReporter, type Reporter, terminalReporter } from '../progress/index.ts';

/** Where a command writes: results to standard output, everything else to standard error. */
export interface Console {
  /** A line of the result. */
  print(line: string): void;
  /** A line for people, beside the result. */
  say(line: string): void;
  /** Progress of long work: a bar on a terminal, a line per step elsewhere, events with `--json`. */
  reporter(options: { readonly json?: boolean | undefined }): Reporter;
}

export const processConsole: Console = {
  print: (line) => void process.stdout.write(`${line}\n`),
  say: (line) => void process.stderr.write(`${line}\n`),
  reporter({ json }) {
    const now = () => performance.now();
    if (json) return jsonReporter({ write: (text) => void process.stdout.write(text), now });
    const write = (text: string) => void process.stderr.write(text);
    return process.stderr.isTTY
      ? terminalReporter({ write, now, columns: () => process.stderr.columns ?? 80 })
      : lineReporter({ write, now });
  },
};
