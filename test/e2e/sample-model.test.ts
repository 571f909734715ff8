import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { prune } from '../../src/pruning/index.ts';
import { memoryStore } from '../../src/storage/index.ts';

const ASSETS = join(import.meta.dirname, '../../assets');

/** What a level may be worse than a smaller one. */
const UNEVENNESS = 0.01;

it('the fidelity of the sample model, as npm start prunes it, rises smoothly along the ladder', async () => {
  const work = await mkdtemp(join(tmpdir(), 'concertina-sample-'));
  const { ladder } = await prune({
    model: join(ASSETS, 'sample-model'),
    images: join(ASSETS, 'sample-images'),
    store: memoryStore(),
    work,
  });
  await rm(work, { recursive: true, force: true });
  expect(ladder).toHaveLength(8);
  for (const precision of ['fp32', 'int8'] as const) {
    let best = -1;
    for (const { fidelity } of ladder) {
      const mean = fidelity[precision]?.mean ?? Number.NaN;
      expect(mean).toBeGreaterThanOrEqual(best - UNEVENNESS);
      best = Math.max(best, mean);
    }
    expect(best).toBeGreaterThan(0.999);
  }
  // Half of the FLOPs are worth having.
  const half = ladder.findLast(({ share }) => share <= 0.5);
  expect(half?.fidelity.fp32.mean).toBeGreaterThan(0.95);
}, 600_000);
