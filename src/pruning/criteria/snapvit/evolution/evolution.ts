import { z } from 'zod';
import type { PruningContext, UnitScores } from '../../../contracts.ts';
import { ordered } from '../../../data/ordered.ts';
import { createRandom } from '../../../data/random.ts';
import type { EvolutionSettings } from '../../../recipe/schema.ts';
import { stepName } from '../../../steps/step-name.ts';
import { jsonStep } from '../../../steps/step-store.ts';
import { type Protection, rank } from '../../../units/ranking.ts';
import { ckaShape } from './cka-shape.ts';
import { applyFactors } from './factors.ts';
import { createFitness, type Fitness } from './fitness.ts';
import { createXnes } from './xnes.ts';

export interface EvolutionTask {
  /** Local scores that the factors scale. */
  readonly local: UnitScores;
  /** Where the search starts, `[B + B H]`. */
  readonly initial: Float64Array;
  readonly protection: Protection;
  readonly settings: EvolutionSettings;
}

/** Individuals evaluated at a time: each keeps the engine's workers busy; a second fills the gaps between its calls. */
const EVALUATIONS_IN_PROGRESS = 2;

/**
 * Global importance (Simoncini et al. 2025, section 3 and appendix B.2): xNES over the factors of blocks and heads. The best vector seen wins,
 * not the final mean. Each fitness is saved as soon as it is known; an interrupted search draws the same vectors again
 * and evaluates only those that are missing.
 * @returns the best factors, `[B + B H]`
 */
export async function evolveFactors(context: PruningContext, task: EvolutionTask): Promise<Float64Array> {
  const { settings } = task;
  const fitness = await createFitness(context, settings);
  const shape = settings.covariance === 'cka' ? await ckaShape(context, settings) : undefined;
  const search = createXnes({
    mean: [...task.initial],
    ...(shape ? { shape } : {}),
    ...(settings.population === 'default' ? {} : { population: settings.population }),
    random: createRandom(context.seed, 'xnes'),
  });
  const step = context.report.step('evolution', settings.evaluations);
  let best = { factors: task.initial, fitness: Number.POSITIVE_INFINITY };
  for (let done = 0; done < settings.evaluations; ) {
    const generation = search.ask().slice(0, settings.evaluations - done);
    const first = done;
    const results: number[] = [];
    const evaluations = generation.map((factors, index) => ({ factors, number: first + index }));
    for await (const { factors, value } of ordered(evaluations, EVALUATIONS_IN_PROGRESS, (evaluation) =>
      evaluate(context, task, fitness, evaluation),
    )) {
      results.push(value);
      if (value < best.fitness) best = { factors, fitness: value };
      done++;
      step.advance(done, `best fitness ${best.fitness.toFixed(4)}`);
    }
    // A generation cut short by the number of evaluations teaches nothing: there is no next one.
    if (results.length === search.population) search.tell(results);
  }
  step.end(`best fitness ${best.fitness.toFixed(4)}`);
  return best.factors;
}

async function evaluate(
  context: PruningContext,
  { local, protection, settings }: EvolutionTask,
  fitness: Fitness,
  { factors, number }: { readonly factors: Float64Array; readonly number: number },
): Promise<{ factors: Float64Array; value: number }> {
  const scores = applyFactors(context.config, local, factors);
  const { images, components, pairs } = settings;
  const step = stepName(`evolution-${number}`, { ...scores, protection, images, components, pairs });
  const value = await jsonStep(context.steps, step, z.number().parse, () =>
    fitness(rank(context.config, scores, protection)),
  );
  return { factors, value };
}
