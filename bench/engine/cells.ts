import { benchLadder } from '../common/ladder.ts';
import { randomPixels } from '../common/networks.ts';
import { type Measurement, type Rounds, race } from '../common/race.ts';
import { type Opened, openElastic, openMasked, openPacked, openStatic, type Task } from './contestants.ts';
import type { Network } from './networks.ts';
import { openTransformers } from './transformers.ts';

/** What is measured of one network. */
export interface CellPlan {
  readonly units: readonly number[];
  readonly tokens: readonly number[];
  readonly batches: readonly number[];
  readonly threads: readonly number[];
  readonly rounds: Rounds;
}

/** Every contestant on one network, for every batch size and number of threads. */
export async function measureCells(
  { name, config, tensors }: Network,
  plan: CellPlan,
  done: (measurements: readonly Measurement[]) => void,
): Promise<void> {
  const ladder = benchLadder(config, plan.units, plan.tokens);
  for (const batch of plan.batches) {
    for (const threads of plan.threads) {
      const task: Task = { config, tensors, ladder, pixels: randomPixels(config, batch), batch, threads };
      const opened: Opened[] = [];
      try {
        for (const open of [openStatic, openTransformers, openMasked, openElastic, openPacked])
          opened.push(await open(task));
        const contestants = opened.flatMap((entry) => entry.contestants);
        done(await race({ model: name, batch, threads }, contestants, plan.rounds));
      } finally {
        await Promise.all(opened.map((entry) => entry.close()));
      }
    }
  }
}
