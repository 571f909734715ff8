import { availableParallelism } from 'node:os';
import type { TensorMap } from '../../vit/index.ts';

/** Share of the memory that is free now which the workers of one network may take: pruning opens two, and needs the rest itself. */
const SHARE = 0.3;
/** A worker has the network twice: as it is read, and with its units in the ranking's order. */
const COPIES = 2;

export interface Machine {
  readonly cores: number;
  /** Free, bytes; a container's limit counts. */
  readonly memory: number;
}

const here = (): Machine => ({ cores: availableParallelism(), memory: process.availableMemory() });

/** From here on what a worker keeps for the next call is worth more as free memory, bytes. */
const LARGE = 1e9;

/** Arrangements of units, and sessions with their arenas, that a worker of a network keeps for the next call. */
export function keptOf(tensors: TensorMap): { readonly orders: number; readonly sessions: number } {
  return bytesOf(tensors) < LARGE ? { orders: 2, sessions: 8 } : { orders: 1, sessions: 1 };
}

/** Workers whose copies of a network fit into memory: one per core at the most, and one at least. */
export function affordableWorkers(tensors: TensorMap, { cores, memory }: Machine = here()): number {
  return Math.max(1, Math.min(cores, Math.floor((SHARE * memory) / (COPIES * bytesOf(tensors)))));
}

function bytesOf(tensors: TensorMap): number {
  return [...tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
}

/** Threads of each of so many workers, so that all cores have work. */
export function threadsBeside(workers: number, { cores }: Pick<Machine, 'cores'> = here()): number {
  return Math.max(1, Math.floor(cores / workers));
}
