import type { ImportanceCriterion } from '../../contracts.ts';
import type { SnapvitSettings } from '../../recipe/schema.ts';
import { stepName } from '../../steps/step-name.ts';
import { jsonStep } from '../../steps/step-store.ts';
import type { Protection } from '../../units/ranking.ts';
import { scoresFromJson, scoresToJson } from '../../units/scores-json.ts';
import { evolveFactors } from './evolution/evolution.ts';
import { applyFactors, initialFactors } from './evolution/factors.ts';
import { localScores } from './local-scores.ts';

/**
 * SnapViT (Simoncini et al. 2025): local importance times one factor per block (channels) and per head. The factors are
 * the initial ones, or found by evolution.
 */
export function snapvitCriterion(settings: SnapvitSettings, protection: Protection): ImportanceCriterion {
  return {
    name: 'snapvit',
    async score(context) {
      const local = await jsonStep(
        context.steps,
        stepName('local-scores', settings.local),
        scoresFromJson,
        () => localScores(context, settings.local),
        scoresToJson,
      );
      const initial = initialFactors(context.config, settings.start);
      const { evolution } = settings;
      const factors = evolution
        ? await evolveFactors(context, { local, initial, protection, settings: evolution })
        : initial;
      return {
        ...applyFactors(context.config, local, factors),
        record: { 'local.heads': flat(local.heads), 'local.channels': flat(local.channels), factors },
      };
    },
  };
}

function flat(rows: readonly Float64Array[]): Float64Array {
  return Float64Array.from(rows.flatMap((row) => Array.from(row)));
}
