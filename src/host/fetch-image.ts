import { lookup as systemLookup } from 'node:dns/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { FetchImage } from '../gateway/index.ts';
import { Problem } from '../problem/index.ts';
import { isPublicAddress } from './public-address.ts';

const MAX_REDIRECTS = 3;

export interface FetchImageOptions {
  /** Hosts that may be fetched from: `images.example.com`, `*.example.com`, or `*` for any public host. */
  readonly allow: readonly string[];
  /** @default 16 MiB */
  readonly maxBytes?: number;
  /** For the whole fetch, redirects included, ms. @default 5000 */
  readonly timeoutMs?: number;
  /** All addresses of a host. @default the system's resolver */
  readonly resolve?: (host: string) => Promise<readonly { address: string; family: number }[]>;
  /** Whether an address may be connected to. @default only the public internet */
  readonly permitted?: (address: string) => boolean;
  /** Port of `https:` addresses without one, and certificates trusted beside the system's; for tests. */
  readonly tls?: { readonly port?: number; readonly ca?: string };
}

/**
 * Fetches images over https from allowed hosts. The addresses of a host are checked where the connection is made, so
 * that a name which resolves differently the second time gains nothing; every redirect is checked like the first address.
 * @throws Problem('url-not-allowed'), ('image-fetch-failed'), ('body-too-large')
 */
export function imageFetcher(options: FetchImageOptions): FetchImage {
  const { maxBytes = 16 * 2 ** 20, timeoutMs = 5000 } = options;
  return async function fetchImage(text, signal) {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    let url = parse(text);
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      checkUrl(url, options);
      const response = await get(url, options, bounded, signal);
      const status = response.statusCode ?? 0;
      const { location } = response.headers;
      if (status >= 300 && status < 400 && location !== undefined) {
        response.destroy();
        url = parse(location, url);
        continue;
      }
      if (status !== 200) {
        response.destroy();
        throw failed(url, `it answered ${status}`);
      }
      return await readAll(response, url, maxBytes, signal);
    }
    throw failed(url, `it redirects more than ${MAX_REDIRECTS} times`);
  };
}

function parse(text: string, base?: URL): URL {
  try {
    return new URL(text, base);
  } catch (cause) {
    throw new Problem('malformed-body', `"${text.slice(0, 80)}" is not a URL.`, {}, { cause });
  }
}

function checkUrl(url: URL, { allow, permitted = isPublicAddress }: FetchImageOptions): void {
  if (url.protocol !== 'https:') throw refused(url, 'only https is fetched');
  if (url.username || url.password) throw refused(url, 'it carries a password');
  if (url.port !== '') throw refused(url, 'only the default port is fetched');
  const host = url.hostname.replace(/\.$/, '').toLowerCase();
  const literal = host.replace(/^\[|\]$/g, '');
  // The connection of a literal address asks no resolver.
  if (isIP(literal) && !permitted(literal)) throw refused(url, 'its address is not on the public internet');
  const allowed = allow.some((pattern) => {
    if (pattern === '*') return true;
    if (pattern.startsWith('*.')) return host.endsWith(pattern.slice(1).toLowerCase());
    return host === pattern.toLowerCase();
  });
  if (!allowed) throw refused(url, 'its host is not on the list of this gateway');
}

function get(
  url: URL,
  {
    resolve = (host) => systemLookup(host, { all: true }),
    permitted = isPublicAddress,
    tls = {},
  }: FetchImageOptions,
  bounded: AbortSignal,
  caller: AbortSignal,
): Promise<IncomingMessage> {
  const lookup: LookupFunction = (host, settings, done) => {
    resolve(host).then(
      (addresses) => {
        const first = addresses[0];
        const foreign = addresses.find(({ address }) => !permitted(address));
        if (foreign || !first) {
          const reason = foreign ? 'its address is not on the public internet' : 'it has no address';
          done(Object.assign(new Error(reason), { refused: foreign !== undefined }), '', 0);
        } else if (settings.all) done(null, [...addresses]);
        else done(null, first.address, first.family);
      },
      (error: Error) => done(error, '', 0),
    );
  };
  return new Promise((done, fail) => {
    const outgoing = request(
      url,
      {
        lookup,
        signal: bounded,
        agent: false,
        headers: { Accept: 'image/*', 'User-Agent': 'concertina' },
        ...(tls.port !== undefined && { port: tls.port }),
        ...(tls.ca !== undefined && { ca: tls.ca }),
      },
      done,
    );
    outgoing.once('error', (cause: Error & { refused?: boolean }) => {
      if (cause.refused) fail(refused(url, cause.message));
      else
        fail(
          caller.aborted ? cause : failed(url, bounded.aborted ? 'it took too long' : cause.message, cause),
        );
    });
    outgoing.end();
  });
}

async function readAll(
  response: IncomingMessage,
  url: URL,
  maxBytes: number,
  caller: AbortSignal,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of response as AsyncIterable<Uint8Array>) {
      // without an encoding chunks are bytes
      size += chunk.length;
      if (size > maxBytes) {
        response.destroy();
        throw new Problem(
          'body-too-large',
          `The image at ${url.host} is larger than the ${maxBytes} bytes that are fetched.`,
          { limit: maxBytes },
        );
      }
      chunks.push(chunk);
    }
  } catch (cause) {
    if (cause instanceof Problem || caller.aborted) throw cause;
    throw failed(url, 'the answer broke off or took too long', cause);
  }
  return Buffer.concat(chunks);
}

// Messages name the host alone: paths and queries of signed URLs are secrets.
function refused(url: URL, reason: string): Problem {
  return new Problem(
    'url-not-allowed',
    `The image at ${url.host || url.protocol} is not fetched: ${reason}. Send the image itself.`,
  );
}

function failed(url: URL, reason: string, cause?: unknown): Problem {
  return new Problem(
    'image-fetch-failed',
    `The image at ${url.host} could not be fetched: ${reason}.`,
    {},
    cause === undefined ? undefined : { cause },
  );
}
