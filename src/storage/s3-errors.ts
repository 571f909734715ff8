import { NoSuchKey, NotFound, S3ServiceException } from '@aws-sdk/client-s3';
import { Problem } from '../problem/index.ts';
import { notFound } from './keys.ts';

/** Refusals that do not come with 401 or 403: S3 answers an expired session with 400, and the SDK may have no credentials. */
const DENIALS: ReadonlySet<string> = new Set([
  'CredentialsProviderError',
  'ExpiredToken',
  'ExpiredTokenException',
  'InvalidToken',
  'TokenRefreshRequired',
]);

/** The HTTP status of an answer that says no. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
}

/** What went wrong, as a Problem; an abort stays what it is. */
export function translate(error: unknown, key: string, url: string): Error {
  if (error instanceof Problem) return error;
  if (error instanceof Error && error.name === 'AbortError') return error;
  const status = statusOf(error);
  if (error instanceof NoSuchKey || error instanceof NotFound || status === 404) return notFound(key, url);
  if (status === 416) {
    return new Problem(
      'object-not-found',
      `The bytes asked for lie beyond the end of "${key}" in ${url}.`,
      { key },
      { cause: error },
    );
  }
  const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  if (status === 401 || status === 403 || (error instanceof Error && DENIALS.has(error.name))) {
    return new Problem(
      'store-denied',
      `${url} refused access (${reason}). Check the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or a role), the bucket's policy and this machine's clock.`,
      { key },
      { cause: error },
    );
  }
  return new Problem(
    'store-unavailable',
    `${url} does not answer (${reason}). Check the endpoint and try again.`,
    { key },
    { cause: error },
  );
}
