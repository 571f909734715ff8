import { z } from 'zod';
import type { UnitScores } from './contracts.ts';

const rows = z.array(z.array(z.number()).transform((row) => Float64Array.from(row)));
const ScoresSchema = z.strictObject({ heads: rows, channels: rows });

/** Scores as JSON and back, exactly. */
export function scoresToJson(scores: UnitScores): unknown {
  return {
    heads: scores.heads.map((row) => Array.from(row)),
    channels: scores.channels.map((row) => Array.from(row)),
  };
}

export function scoresFromJson(json: unknown): UnitScores {
  return ScoresSchema.parse(json);
}
