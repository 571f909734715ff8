export type { Reporter, Step } from './reporter.ts';
export { silent } from './reporter.ts';
