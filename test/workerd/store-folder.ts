import { join } from 'node:path';

/** Where the global setup leaves a checkpoint that `concertina prune` has written. */
export const WORKERD_STORE = join(import.meta.dirname, '../../node_modules/.cache/concertina-workerd');
