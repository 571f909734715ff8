import { z } from 'zod';
import type { UnitScores } from '../contracts.ts';

const row = z.array(z.number()).transform((values) => Float64Array.from(values));
const ScoresSchema = z.strictObject({
  heads: z.array(row),
  channels: z.array(row),
  queries: z.array(row).optional(),
  values: z.array(row).optional(),
  record: z.record(z.string(), row),
});

/** Scores as JSON and back, exactly. */
export function scoresToJson(scores: UnitScores): unknown {
  return {
    heads: scores.heads.map((row) => Array.from(row)),
    channels: scores.channels.map((row) => Array.from(row)),
    ...(scores.queries && { queries: scores.queries.map((row) => Array.from(row)) }),
    ...(scores.values && { values: scores.values.map((row) => Array.from(row)) }),
    record: Object.fromEntries(
      Object.entries(scores.record ?? {}).map(([name, values]) => [name, Array.from(values)]),
    ),
  };
}

export function scoresFromJson(json: unknown): UnitScores {
  return ScoresSchema.parse(json);
}
