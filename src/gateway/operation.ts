import { PROBLEMS, type ProblemCode } from '../problem/index.ts';

/** An operation of the OpenAPI document. */
export interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: object;
  readonly responses: Readonly<Record<string, Described>>;
  readonly security?: readonly object[];
}

interface Described {
  readonly description: string;
  readonly headers?: object;
  readonly content?: object;
}

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly description?: string;
  readonly schema?: object;
  readonly example?: string;
}

/** Problems of every route that asks for a key. */
export const KEYED_PROBLEMS: readonly ProblemCode[] = [
  'missing-key',
  'unknown-key',
  'rate-limited',
  'tier-saturated',
  'internal-error',
  'not-ready',
  'loading-stopped',
  'overloaded',
  'draining',
];

/** Problems of every route that embeds images. */
const EMBED_PROBLEMS: readonly ProblemCode[] = [
  ...KEYED_PROBLEMS,
  'malformed-budget',
  'malformed-body',
  'text-not-supported',
  'unsupported-dimensions',
  'url-not-allowed',
  'unknown-model',
  'request-timeout',
  'body-too-large',
  'too-many-inputs',
  'unsupported-media-type',
  'undecodable-image',
  'too-many-pixels',
  'budget-unsatisfiable',
  'image-fetch-failed',
  'deadline-exceeded',
];

const BUDGET =
  'What this request may spend, as an RFC 9651 dictionary: `latency=40, flops=0.7`. Keys: `latency` (ms, a target; `;strict` makes it a bound), `flops` (share of the full network, 0 to 1), `gflops`, `level`, `fidelity` (a floor), `deadline` (ms), `aim` (`best` or `cheapest` of what satisfies the others; `cheapest` if `fidelity` is alone). Several ceilings: the tightest wins. What is not understood is refused. `X-Compute-Budget` is the same.';
const APPLIED =
  'What was run: `level=6, flops=0.704, fidelity=0.981, predicted=21.8, limited-by=latency`. `limited-by` is one of `none`, `latency`, `flops`, `level`, `tier`, `pressure`, `loading`.';

const budgetHeader = {
  name: 'Compute-Budget',
  in: 'header',
  required: false,
  description: BUDGET,
  schema: { type: 'string' },
  example: 'latency=40, flops=0.7',
};

const answerHeaders = {
  'Compute-Applied': { description: APPLIED, schema: { type: 'string' } },
  'Embedding-Space': {
    description: 'Name of the space: one for all levels and precisions of a network, another for any other',
    schema: { type: 'string' },
  },
  'Server-Timing': { description: 'fetch, decode, queue, infer (ms)', schema: { type: 'string' } },
  'X-Request-Id': { schema: { type: 'string' } },
  RateLimit: { schema: { type: 'string' } },
  'RateLimit-Policy': { schema: { type: 'string' } },
};

export interface EmbedOperation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly Parameter[];
  /** Contents of the body, by media type. */
  readonly request: Readonly<Record<string, object>>;
  /** Contents of the answer, by media type, and what it is in a sentence. */
  readonly answer: Readonly<Record<string, object>>;
  readonly description: string;
  readonly problems?: readonly ProblemCode[];
  /** Schema of what the dialect says when something goes wrong; problem details if absent. */
  readonly errors?: object;
}

/** What all routes that embed images have in common: the budget, what was run, the problems. */
export function embedOperation(operation: EmbedOperation): Operation {
  const { operationId, summary, parameters = [], request, answer, description, problems = [] } = operation;
  return {
    operationId,
    summary,
    parameters: [budgetHeader, ...parameters],
    requestBody: { required: true, content: contents(request) },
    responses: {
      200: { description, headers: answerHeaders, content: contents(answer) },
      ...problemResponses(
        [...EMBED_PROBLEMS, ...problems],
        operation.errors && { 'application/json': { schema: operation.errors } },
      ),
    },
  };
}

function contents(byType: Readonly<Record<string, object>>) {
  return Object.fromEntries(Object.entries(byType).map(([type, schema]) => [type, { schema }]));
}

/** A schema of the document's components. */
export function ref(name: string) {
  return { $ref: `#/components/schemas/${name}` };
}

export function query(name: string, schema: Record<string, unknown>, description: string) {
  return { name, in: 'query', required: false, schema, description };
}

/** An answer of one of the document's schemas. */
export function jsonAnswer(description: string, schema: object) {
  return { description, content: { 'application/json': { schema } } };
}

const PROBLEM_DETAILS = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } };

/** Problems under their statuses. @param content of their bodies; problem details if absent */
export function problemResponses(codes: readonly ProblemCode[], content: object = PROBLEM_DETAILS) {
  const byStatus = new Map<number, ProblemCode[]>();
  for (const code of codes) {
    const { status } = PROBLEMS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, list]) => [
      status,
      {
        description: list.map((code) => `\`${code}\`: ${PROBLEMS[code].title}`).join('; '),
        content,
      },
    ]),
  );
}

/** A question without a body, of a dialect that has nothing of its own to say about problems. */
export function probeOperation(operationId: string, summary: string): Operation {
  return {
    operationId,
    summary,
    responses: { 200: { description: 'Yes' }, ...problemResponses(['not-ready', 'draining']) },
  };
}
