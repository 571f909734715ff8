/** What the gateway refused, or could not be asked. */
export class ConcertinaError extends Error {
  override readonly name = 'ConcertinaError';
  /** Stable code of the problem (`docs/errors.md`); `unknown` for an answer that is none of ours. */
  readonly code: string;
  readonly status: number;
  /** Further members of the problem: `nearest`, `limit`, `position`, … */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: string,
    status: number,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
    this.code = code;
    this.status = status;
    this.details = details;
  }
}

/** Reads a problem document. */
export async function errorFrom(response: Response): Promise<ConcertinaError> {
  const text = await response.text();
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body && 'code' in body && 'detail' in body)
      return new ConcertinaError(String(body.code), response.status, String(body.detail), { ...body });
  } catch {
    // Not JSON: a proxy's page.
  }
  return new ConcertinaError('unknown', response.status, `The server answered ${response.status}.`);
}
