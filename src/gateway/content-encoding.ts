import { Problem } from '../problem/index.ts';

/** Codings of RFC 9110, 8.4.1, that every platform decodes. */
const FORMATS = { gzip: 'gzip', 'x-gzip': 'gzip', deflate: 'deflate' } as const;
const ACCEPTED = 'gzip, deflate';

/** Whether the body has a coding. @throws Problem('unsupported-media-type') with `Accept-Encoding` for one that is not decoded */
export function contentCoding(header: string | undefined): keyof typeof FORMATS | undefined {
  const codings = (header ?? '')
    .split(',')
    .map((word) => word.trim().toLowerCase())
    .filter((word) => word !== '' && word !== 'identity');
  const [coding] = codings;
  if (coding === undefined) return undefined;
  if (codings.length === 1 && Object.hasOwn(FORMATS, coding)) return coding as keyof typeof FORMATS; // its keys
  throw new Problem(
    'unsupported-media-type',
    `Bodies coded as "${codings.join(', ').slice(0, 60)}" are not decoded. Send ${ACCEPTED}, or the body as it is.`,
    { acceptEncoding: ACCEPTED },
  );
}

/**
 * Undoes a coding, up to a limit: a small body may stand for a large one.
 * @throws Problem('body-too-large') as soon as the limit is passed, Problem('malformed-body')
 */
export async function decodeContent(
  bytes: Uint8Array<ArrayBuffer>,
  coding: keyof typeof FORMATS,
  limit: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(FORMATS[coding])).getReader();
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      size += value.length;
      if (size > limit) {
        await reader.cancel().catch(() => {});
        throw new Problem(
          'body-too-large',
          `The decoded body is larger than the ${limit} bytes that are accepted. Send smaller images, or fewer at a time.`,
          { limit },
        );
      }
      parts.push(value);
    }
  } catch (cause) {
    if (cause instanceof Problem) throw cause;
    throw new Problem('malformed-body', `The body is not ${coding}, though it says so.`, {}, { cause });
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
