/**
 * Everything that can go wrong and be told to somebody, as typed data: a stable code, an HTTP status, a title.
 * The sentence that says what happened and what to do is given where the problem is found.
 */
export interface ProblemDefinition {
  /** HTTP status that the gateway answers with; commands exit with 1 (2 for a usage problem). */
  readonly status: number;
  /** What kind of problem this is, in a few words; the same for every occurrence (RFC 9457 `title`). */
  readonly title: string;
}

/** The one table of problem codes. `docs/errors.md` is generated from it. */
export const PROBLEMS = {
  // requests (the table of the HTTP contract)
  'malformed-budget': { status: 400, title: 'The compute budget cannot be read' },
  'malformed-body': { status: 400, title: 'The request body cannot be read' },
  'text-not-supported': { status: 400, title: 'The model embeds images, not text' },
  'unsupported-dimensions': { status: 400, title: 'The checkpoint cannot give that many dimensions' },
  'missing-key': { status: 401, title: 'An API key is required' },
  'unknown-key': { status: 403, title: 'The API key is not known' },
  'not-the-front-door': { status: 403, title: 'The request did not come through the front door' },
  'url-not-allowed': { status: 403, title: 'The image URL may not be fetched' },
  'unknown-route': { status: 404, title: 'There is nothing at this address' },
  'unknown-model': { status: 404, title: 'There is no such model' },
  'method-not-allowed': { status: 405, title: 'This address does not take that method' },
  'not-acceptable': { status: 406, title: 'None of the accepted media types can be given' },
  'request-timeout': { status: 408, title: 'The request body did not arrive in time' },
  'body-too-large': { status: 413, title: 'The request body is too large' },
  'too-many-inputs': { status: 413, title: 'Too many inputs in one request' },
  'unsupported-media-type': { status: 415, title: 'That media type cannot be read' },
  'undecodable-image': { status: 422, title: 'The image cannot be decoded' },
  'too-many-pixels': { status: 422, title: 'The image has too many pixels' },
  'budget-unsatisfiable': { status: 422, title: 'No level satisfies the compute budget' },
  'rate-limited': { status: 429, title: 'Too many requests' },
  'tier-saturated': { status: 429, title: 'The queue of this tier is full' },
  'client-closed-request': { status: 499, title: 'The caller went away' },
  'internal-error': { status: 500, title: 'Something failed inside the gateway' },
  'origin-unavailable': { status: 502, title: 'The native gateway behind this one does not answer' },
  'image-fetch-failed': { status: 502, title: 'The image URL could not be fetched' },
  'not-ready': { status: 503, title: 'The gateway is not ready yet' },
  'loading-stopped': { status: 503, title: 'A part of the model cannot be loaded' },
  overloaded: { status: 503, title: 'The deadline cannot be met under the present load' },
  draining: { status: 503, title: 'The gateway is shutting down' },
  'deadline-exceeded': { status: 504, title: 'The deadline passed before the request was started' },
  // files, models, checkpoints
  'invalid-safetensors': { status: 422, title: 'The safetensors file is malformed' },
  'invalid-config': { status: 422, title: 'The model configuration cannot be used' },
  'unsupported-model': { status: 422, title: 'This kind of model is not supported' },
  'tensor-mismatch': { status: 422, title: 'The tensors contradict the configuration' },
  'non-finite-weights': { status: 422, title: 'The weights contain NaN or infinity' },
  'no-images': { status: 422, title: 'There are not enough readable images' },
  'invalid-checkpoint': { status: 500, title: 'The elastic checkpoint is malformed' },
  'corrupt-checkpoint': { status: 500, title: 'A stored object does not match its digest' },
  'unknown-checkpoint': { status: 404, title: 'There is no checkpoint under that name' },
  'invalid-recipe': { status: 422, title: 'The pruning recipe cannot be used' },
  'invalid-scores': { status: 422, title: 'The importance scores cannot be used' },
  // model hubs
  'invalid-model-reference': { status: 400, title: 'The model cannot be found by that name' },
  'hub-denied': { status: 403, title: 'The model hub refused access' },
  'corrupt-download': { status: 502, title: 'A downloaded file is not the one that was announced' },
  'hub-unavailable': { status: 503, title: 'The model hub does not answer' },
  // stores
  'invalid-store-url': { status: 400, title: 'The store address cannot be used' },
  'object-not-found': { status: 404, title: 'There is no such object' },
  'object-too-large': { status: 413, title: 'The object is larger than the store accepts' },
  'precondition-failed': { status: 412, title: 'Somebody else changed the object first' },
  'store-unavailable': { status: 503, title: 'The object store does not answer' },
  'store-denied': { status: 403, title: 'The object store refused access' },
  // engines and the command line
  'engine-unavailable': { status: 500, title: 'The engine cannot run here' },
  'engine-failed': { status: 500, title: 'The engine failed' },
  'level-not-loaded': { status: 503, title: 'That level has not been loaded yet' },
  aborted: { status: 499, title: 'The work was aborted' },
  'invalid-settings': { status: 400, title: 'The settings cannot be used' },
  'bulk-incomplete': { status: 502, title: 'More pictures of a bulk run failed than are tolerated' },
  'job-refused': { status: 502, title: 'The job was not taken' },
  usage: { status: 400, title: 'The command line cannot be understood' },
} as const satisfies Record<string, ProblemDefinition>;

export type ProblemCode = keyof typeof PROBLEMS;

/** Extra members of a problem: JSON data that a program can act on (nearest feasible budget, limits, names). */
export type ProblemDetails = Readonly<Record<string, unknown>>;

/**
 * The one error class of the project.
 * @example throw new Problem('unknown-model', `There is no model "${id}". Known models: ${known.join(', ')}.`, { models: known });
 */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly code: ProblemCode;
  readonly details: ProblemDetails;

  /**
   * @param code stable code from the table
   * @param message one or two sentences: what happened, and what to do about it
   * @param details machine-readable members (never secrets, never image data)
   */
  constructor(code: ProblemCode, message: string, details: ProblemDetails = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
  }

  get status(): number {
    return PROBLEMS[this.code].status;
  }

  get title(): string {
    return PROBLEMS[this.code].title;
  }
}

/** Whether `error` is a {@link Problem}, optionally one with the given code. */
export function isProblem(error: unknown, code?: ProblemCode): error is Problem {
  return error instanceof Problem && (code === undefined || error.code === code);
}
