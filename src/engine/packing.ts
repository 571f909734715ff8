import { freemem } from 'node:os';
import type { Precision } from '../checkpoint/index.ts';
import { parameters, type Variant, type VitConfig } from '../vit/index.ts';
import type { Packing } from './model.ts';

/** Shares of the free memory that packed weights may take where nobody has said which are wanted. */
const MOST: Readonly<Record<Exclude<Packing, 'none'>, number>> = { all: 0.1, full: 0.25 };

interface Served {
  readonly config: VitConfig;
  /** Smallest first; the last is the full network. */
  readonly variants: readonly Variant[];
  readonly precisions: readonly Precision[];
  readonly workers: number;
}

/**
 * Every level, where a copy of all of them in each worker takes a tenth of the free memory at most, or the full network alone, for a
 * quarter.
 */
export function packingByMemory(served: Served): Packing {
  const free = freeMemory();
  if (packedBytes(served, served.variants) <= MOST.all * free) return 'all';
  return packedBytes(served, served.variants.slice(-1)) <= MOST.full * free ? 'full' : 'none';
}

function packedBytes({ config, precisions, workers }: Served, variants: readonly Variant[]): number {
  const weights = variants.reduce((sum, variant) => sum + parameters(config, variant), 0);
  const each = precisions.reduce((sum, precision) => sum + (precision === 'fp32' ? 4 : 1), 0);
  return workers * weights * each;
}

/** What the process may still take, in a container too; Node 20.13 is the first to tell. */
function freeMemory(): number {
  return process.availableMemory?.() ?? freemem();
}
