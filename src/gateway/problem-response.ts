import { z } from 'zod';
import { isProblem, Problem, type ProblemCode } from '../problem/index.ts';

/** Types that OpenAI's clients know; they choose their error class by the status. */
function openAiType(status: number): string {
  if (status === 401 || status === 403) return 'authentication_error';
  if (status === 429) return 'rate_limit_error';
  return status < 500 ? 'invalid_request_error' : 'server_error';
}

/** Anything thrown, as a problem. What is not one is an internal error, whose cause stays inside. */
export function asProblem(error: unknown): Problem {
  if (isProblem(error)) return INTERNAL.has(error.code) ? hidden(error) : error;
  return hidden(error);
}

/** Problems of the gateway's own files and engines; callers cannot do anything about them. */
const INTERNAL: ReadonlySet<ProblemCode> = new Set([
  'invalid-checkpoint',
  'corrupt-checkpoint',
  'engine-unavailable',
  'engine-failed',
  'store-denied',
  'object-not-found',
]);

function hidden(cause: unknown): Problem {
  return new Problem(
    'internal-error',
    'Something failed inside the gateway. It has been logged under the request id; try again.',
    {},
    { cause },
  );
}

/** OpenAI's error object. */
export const ErrorSchema = z.object({
  message: z.string(),
  type: z.string(),
  code: z.string(),
  param: z.null(),
});

export const ProblemResponseSchema = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string(),
  instance: z.string(),
  error: ErrorSchema,
});

/** The form in which a dialect says what went wrong. */
export interface ProblemShape {
  readonly contentType: string;
  body(problem: Problem, requestId: string): object;
}

const problemDetails: ProblemShape = { contentType: 'application/problem+json', body: problemBody };

/** The body of a problem: RFC 9457 members, our `code` and details, and OpenAI's `error` object. */
export function problemBody(
  problem: Problem,
  requestId: string,
): Record<string, unknown> & z.infer<typeof ProblemResponseSchema> {
  const { code, status, title, message, details } = problem;
  return {
    ...details,
    type: `/docs#${code}`,
    title,
    status,
    detail: message,
    code,
    instance: requestId,
    error: { message, type: openAiType(status), code, param: null },
  };
}

/** A problem as an answer. @param shape of its body; RFC 9457 problem details if absent */
export function problemResponse(
  problem: Problem,
  requestId: string,
  { contentType, body }: ProblemShape = problemDetails,
): Response {
  const headers = new Headers({ 'Content-Type': contentType });
  const { retryAfter } = problem.details;
  if (typeof retryAfter === 'number') headers.set('Retry-After', String(Math.ceil(retryAfter)));
  else if (problem.status === 503) headers.set('Retry-After', '1');
  if (problem.status === 401) headers.set('WWW-Authenticate', 'Bearer');
  // Closing tells a caller whose body is still on its way to stop sending.
  if (problem.code === 'body-too-large' || problem.code === 'request-timeout')
    headers.set('Connection', 'close');
  // OpenAI's clients try again after 5xx; this deadline has passed for good.
  if (problem.status === 504) headers.set('X-Should-Retry', 'false');
  if (typeof problem.details.acceptEncoding === 'string')
    headers.set('Accept-Encoding', problem.details.acceptEncoding);
  if (typeof problem.details.allow === 'string') headers.set('Allow', problem.details.allow);
  return new Response(JSON.stringify(body(problem, requestId)), { status: problem.status, headers });
}
