import { Problem } from '../problem/index.ts';

/** S3's limit on the length of a key, in bytes of UTF-8; kept by every driver so that stores can be exchanged. */
const MAX_KEY_BYTES = 1024;

/**
 * Refuses keys that could mean different objects in different stores, or escape from a folder.
 * @throws Problem('invalid-store-url')
 */
export function checkKey(key: string): string {
  const segments = key.split('/');
  const bad = segments.some((segment) => segment === '' || segment === '.' || segment === '..');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are exactly what is refused here
  if (bad || /[\u0000-\u001f\\]/.test(key) || new TextEncoder().encode(key).length > MAX_KEY_BYTES) {
    throw new Problem(
      'invalid-store-url',
      `"${key.slice(0, 200)}" is not a usable object key: segments must be neither empty nor "." or "..", without backslashes or control characters.`,
    );
  }
  return key;
}

/** @throws Problem('object-not-found') when the range does not lie inside the object */
export function checkRange(key: string, start: number, end: number, size: number): void {
  if (!Number.isInteger(start) || !Number.isInteger(end) || start < 0 || end < start || end > size) {
    throw new Problem(
      'object-not-found',
      `Bytes ${start} to ${end} of "${key}" were asked for, but it has ${size} bytes.`,
      {
        key,
        start,
        end,
        size,
      },
    );
  }
}

export function notFound(key: string, url: string): Problem {
  return new Problem('object-not-found', `There is no object "${key}" in ${url}.`, { key });
}

export function conditionFailed(key: string, condition: 'absent' | { readonly etag: string }): Problem {
  const what = condition === 'absent' ? 'it exists already' : 'it has been changed since it was read';
  return new Problem(
    'precondition-failed',
    `"${key}" was not written: ${what}. Read it again and decide anew.`,
    { key },
  );
}
