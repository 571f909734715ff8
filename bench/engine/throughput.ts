import { createModel } from '../../src/engine/index.ts';
import { fullVariant } from '../../src/vit/index.ts';
import { increments } from '../common/ladder.ts';
import { randomPixels } from '../common/networks.ts';
import { type Contestant, id, type Measurement, type Rounds, race, timed } from '../common/race.ts';
import type { Network } from './networks.ts';

/** Images of one round. */
const IMAGES = 8;

/** Workers and threads that share the work, as the engine is started. */
const ARRANGEMENTS = [
  { contestant: '1 worker', workers: 1, threads: 1 },
  { contestant: '2 workers', workers: 2, threads: 1 },
  { contestant: '1 worker, 2 threads', workers: 1, threads: 2 },
] as const;

/**
 * Time for eight single images that wait at the same time. The ratio is to one worker of one thread: half of it is what two
 * cores can give.
 */
export async function measureThroughput(
  { name, config, tensors }: Network,
  rounds: Rounds,
): Promise<Measurement[]> {
  const pixels = randomPixels(config, 1);
  const variants = [fullVariant(config)];
  const models = await Promise.all(
    ARRANGEMENTS.map(({ workers, threads }) =>
      createModel({
        config,
        variants,
        device: 'cpu',
        workers,
        threads,
        precisions: ['fp32', 'int8'],
      }),
    ),
  );
  try {
    const contestants: Contestant[] = [];
    for (const [i, model] of models.entries()) {
      for (const increment of increments(config, tensors, variants)) await model.install(increment);
      for (const precision of model.precisions) {
        const level = `full, ${IMAGES} images`;
        const one = id({ contestant: ARRANGEMENTS[0].contestant, level, precision });
        const embed = () => model.embed(pixels, 1, { level: 0, precision });
        const run = () => timed(() => Promise.all(Array.from({ length: IMAGES }, embed)));
        contestants.push({
          contestant: ARRANGEMENTS[i]?.contestant ?? '',
          level,
          precision,
          peers: [one],
          run,
        });
      }
    }
    return await race({ model: name, batch: 1, threads: 1 }, contestants, rounds);
  } finally {
    await Promise.all(models.map((model) => model.dispose()));
  }
}
