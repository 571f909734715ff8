import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

export interface Request {
  readonly headers: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds without a byte after which the connection is given up. */
  readonly timeout: number;
}

/** What was answered at the end of the redirects. */
export interface Answer {
  readonly status: number;
  /** Of the last answer. */
  readonly headers: IncomingMessage['headers'];
  /** Of all answers on the way; the first that has a header counts. The hub tells about a file before it redirects to its storage. */
  readonly first: (header: string) => string | undefined;
  /** To be read to its end or destroyed. */
  readonly body: IncomingMessage;
}

const MAX_REDIRECTS = 8;

/** Proxies come from `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` (Node 24.5 or later; earlier ones connect directly). */
const keepAlive = { keepAlive: true, proxyEnv: process.env };
const agents = { 'http:': new HttpAgent(keepAlive), 'https:': new HttpsAgent(keepAlive) };

/**
 * GET with redirects. The authorization goes to the first origin alone.
 * @throws the connection's own errors, and an Error when there are too many redirects
 */
export async function get(url: URL, request: Request): Promise<Answer> {
  const seen: IncomingMessage['headers'][] = [];
  let at = url;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const { authorization, ...rest } = request.headers;
    const trusted = authorization !== undefined && at.origin === url.origin;
    const response = await once(at, { ...request, headers: trusted ? { ...rest, authorization } : rest });
    seen.push(response.headers);
    const { statusCode: status = 0, headers } = response;
    if (status < 300 || status >= 400 || headers.location === undefined) {
      const first = (header: string) => {
        const value = seen.map((one) => one[header]).find((one) => one !== undefined);
        return Array.isArray(value) ? value[0] : value;
      };
      return { status, headers, first, body: response };
    }
    response.resume();
    at = new URL(headers.location, at);
    if (at.protocol !== 'http:' && at.protocol !== 'https:') throw new Error(`redirected to ${at.protocol}`);
  }
  throw new Error(`more than ${MAX_REDIRECTS} redirects`);
}

function once(url: URL, { headers, signal, timeout }: Request): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const secure = url.protocol === 'https:';
    const options = {
      headers,
      agent: secure ? agents['https:'] : agents['http:'],
      ...(signal ? { signal } : {}),
    };
    const sent = secure ? httpsRequest(url, options, resolve) : httpRequest(url, options, resolve);
    sent.setTimeout(timeout, () => sent.destroy(new Error(`no byte for ${timeout} ms`)));
    sent.on('error', reject);
    sent.end();
  });
}

/** The whole body, up to a limit. */
export async function readBody(body: IncomingMessage, limit: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > limit) throw new Error(`the answer is larger than ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
