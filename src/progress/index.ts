export { jsonReporter } from './json-reporter.ts';
export { lineReporter, type TextOptions } from './line-reporter.ts';
export type { Reporter, Step } from './reporter.ts';
export { silent } from './reporter.ts';
export { type TerminalOptions, terminalReporter } from './terminal-reporter.ts';
