import type { ImportanceCriterion } from '../contracts.ts';
import { createRandom } from '../data/random.ts';
import { perUnit } from './per-unit.ts';

/** The weakest baseline: every unit gets a random score. */
export function randomCriterion(): ImportanceCriterion {
  return {
    name: 'random',
    async score({ config, seed }) {
      const random = createRandom(seed, 'random criterion');
      return perUnit(config, { head: () => random.uniform(), channel: () => random.uniform() });
    },
  };
}
