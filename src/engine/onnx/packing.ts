import { freemem } from 'node:os';
import type { Precision } from '../../checkpoint/index.ts';
import { fullVariant, parameters, type VitConfig } from '../../vit/index.ts';
import type { Device } from './device.ts';
import type { Packing } from './elastic.ts';

/** Share of the free memory that packed weights may take where nobody has said which are wanted. */
const MEMORY_SHARE = 0.25;

/**
 * On a CPU the full network, unless a copy of it in every worker would take more than a quarter of the free memory. On a GPU every
 * level, because what is no part of a session travels to the device for each run.
 */
export function choosePacking(
  device: Device,
  { config, precisions, workers }: { config: VitConfig; precisions: readonly Precision[]; workers: number },
): Packing {
  if (device !== 'cpu') return 'all';
  const weights = parameters(config, fullVariant(config));
  const bytes = precisions.reduce((sum, precision) => sum + weights * (precision === 'fp32' ? 4 : 1), 0);
  return workers * bytes <= MEMORY_SHARE * freeMemory() ? 'full' : 'none';
}

/** What the process may still take, in a container too; Node 20.13 is the first to tell. */
function freeMemory(): number {
  return process.availableMemory?.() ?? freemem();
}
