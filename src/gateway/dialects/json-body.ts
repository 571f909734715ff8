import { z } from 'zod';
import { ComputeBudgetSchema } from '../../budget/index.ts';
import { isProblem, Problem } from '../../problem/index.ts';
import { parseBoundedJson } from '../bounded-json.ts';

/** A member that is described by a schema and read by a function of its own, which knows what was meant. */
export function documented(schema: z.ZodType) {
  const { $schema: _, ...described } = z.toJSONSchema(schema, { io: 'input' });
  return z.unknown().meta(described);
}

/** `compute_budget` in a body, for `budgetFromBody`. */
export const budgetMember = documented(ComputeBudgetSchema).optional();

/** What a dialect's JSON bodies look like, for messages. */
export interface JsonBody<S extends z.ZodType> {
  readonly schema: S;
  /** The shortest body that works: `{"input": "data:image/jpeg;base64,…"}`. */
  readonly example: string;
  /** The members that there are: `{"model"?, "input", …}`. */
  readonly expected: string;
}

/** @throws Problem('malformed-body') */
export function parseJson<S extends z.ZodType>(
  bytes: Uint8Array,
  { schema, example, expected }: JsonBody<S>,
): z.output<S> {
  let json: unknown;
  try {
    json = parseBoundedJson(bytes);
  } catch (cause) {
    if (isProblem(cause)) throw cause;
    throw new Problem(
      'malformed-body',
      bytes.length === 0
        ? `The body is empty. Send ${example}.`
        : `The body is not JSON. Send ${example}, or a raw image to /v1/embed.`,
      {},
      { cause },
    );
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), message }));
  throw new Problem(
    'malformed-body',
    `${issues[0]?.path || 'The body'}: ${issues[0]?.message}. Expected ${expected}.`,
    { issues: issues.slice(0, 10) },
  );
}

/** @throws Problem('unsupported-media-type') */
export function acceptJson(type = 'application/json', path: string): void {
  if (!/^application\/(?:[\w.+-]+\+)?json\b/i.test(type))
    throw new Problem(
      'unsupported-media-type',
      `${path} takes application/json, not ${type.slice(0, 60)}. Send raw images to /v1/embed.`,
    );
}
