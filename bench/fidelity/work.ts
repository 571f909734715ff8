import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { StepStore } from '../../src/pruning/contracts.ts';

/** Everything that fitting depends on, apart from the contestant. */
export interface WorkInputs {
  /** Digests of the model's files. */
  readonly model: Readonly<Record<string, string>>;
  /** Digest of the calibration photographs that are used, and how many of them are fitted on and held back. */
  readonly calibration: { readonly digest: string; readonly fit: number; readonly held: number };
}

/**
 * The folder under `base` that steps of these inputs are kept in. A run over other photographs has another folder: what was
 * made of some never meets what was made of others.
 */
export function workFolder(base: string, inputs: WorkInputs): string {
  return join(base, digestOf(inputs));
}

/** Steps under a name of their own. */
export function prefixed(steps: StepStore, prefix: string): StepStore {
  return {
    load: (step) => steps.load(`${prefix}-${step}`),
    save: (step, result) => steps.save(`${prefix}-${step}`, result),
  };
}

/** A short name for plain data; equal data has equal names. */
export function digestOf(data: unknown): string {
  return createHash('sha256').update(JSON.stringify(data)).digest('hex').slice(0, 20);
}
