import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One model of the server: what its revisions stand for, and the files of every commit. */
export interface HostedModel {
  readonly revisions: Record<string, string>;
  readonly commits: Record<string, Record<string, Uint8Array>>;
  /** Names of files that lie in the large-file storage. */
  readonly large: ReadonlySet<string>;
  gated?: boolean;
  /** Without it the model is not there. */
  token?: string;
}

/** What goes wrong with the next answers for a file (or for `api`), first come, first served. */
export type Fault =
  | { readonly kind: 'reset'; readonly after: number }
  | { readonly kind: 'status'; readonly status: number; readonly headers?: Record<string, string> }
  | { readonly kind: 'stall'; readonly after: number }
  | { readonly kind: 'change'; readonly at: number }
  | { readonly kind: 'ignore range' }
  | { readonly kind: 'text'; readonly text: string };

export interface Logged {
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
  readonly host: string | undefined;
}

/** A local server that speaks the hub's API, with its storage at another origin, and can misbehave. */
export class HubServer {
  /** Waits until the client has so many bytes of a file: a connection breaks no sooner, however slow the machine is. */
  kept: (bytes: number) => Promise<void> = async () => {};
  readonly models = new Map<string, HostedModel>();
  readonly faults = new Map<string, Fault[]>();
  readonly log: Logged[] = [];
  readonly #hub: Server;
  readonly #storage: Server;

  constructor() {
    this.#hub = createServer((request, response) => this.#answer(request, response));
    this.#storage = createServer((request, response) => this.#store(request, response));
  }

  async start(): Promise<void> {
    for (const server of [this.#hub, this.#storage])
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#storage]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#hub.address() as AddressInfo).port}`; // it listens on a port
  }

  get storage(): string {
    return `http://127.0.0.1:${(this.#storage.address() as AddressInfo).port}`; // it listens on a port
  }

  /** Paths of the requests for files, in order. */
  get fetched(): string[] {
    return this.log.filter(({ path }) => !path.startsWith('/api/')).map(({ path }) => path);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    // A proxy is asked with the whole address.
    const url = new URL(request.url ?? '/', 'http://hub');
    this.#note(request, url);
    const [, api, owner, name, revision] =
      /^(\/api\/models)?\/([^/]+)\/([^/]+)\/(?:revision|resolve)\/([^/]+)/.exec(url.pathname) ?? [];
    const model = this.models.get(`${owner}/${name}`);
    const bearer = request.headers.authorization;
    const fail = (status: number, code: string, message = code) =>
      response.writeHead(status, { 'x-error-code': code, 'x-error-message': message }).end(message);
    if (!model || revision === undefined)
      return void fail(401, 'RepoNotFound', 'Invalid username or password.');
    if (bearer !== undefined && bearer !== `Bearer ${model.token ?? 'good'}`)
      return void fail(401, '', 'Invalid credentials in Authorization header');
    if (model.token !== undefined && bearer === undefined) return void fail(401, 'RepoNotFound');
    const commit = model.revisions[decodeURIComponent(revision)] ?? revision;
    const files = model.commits[commit];
    if (!files) return void fail(404, 'RevisionNotFound');
    if (api !== undefined) {
      this.#list(commit, files, model, response);
      return;
    }
    if (model.gated) return void fail(403, 'GatedRepo');
    const file = decodeURIComponent(url.pathname.split('/').at(-1) ?? '');
    const body = files[file];
    if (!body) return void fail(404, 'EntryNotFound');
    if (model.large.has(file)) {
      const headers = {
        location: `${this.storage}/${owner}/${name}/${commit}/${file}?signature=1`,
        etag: '"of-the-pointer"',
        'x-linked-etag': `"${sha256(body)}"`,
        'x-linked-size': body.length,
        'x-repo-commit': commit,
      };
      return void response.writeHead(302, headers).end();
    }
    this.#serve(request, response, file, body, { etag: `"${gitHash(body)}"`, 'x-repo-commit': commit });
  }

  #store(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://storage');
    this.#note(request, url);
    const [, owner, name, commit = '', file = ''] = url.pathname.split('/');
    const body = this.models.get(`${owner}/${name}`)?.commits[commit]?.[file];
    if (!body) return void response.writeHead(404).end();
    this.#serve(request, response, file, body, { etag: '"of-the-storage"' });
  }

  #list(
    commit: string,
    files: Record<string, Uint8Array>,
    model: HostedModel,
    response: ServerResponse,
  ): void {
    const fault = this.faults.get('api')?.shift();
    if (fault?.kind === 'status') return void response.writeHead(fault.status, fault.headers).end();
    if (fault?.kind === 'text') return void response.end(fault.text);
    const siblings = Object.entries(files).map(([rfilename, body]) => ({
      rfilename,
      size: body.length,
      blobId: gitHash(body),
      ...(model.large.has(rfilename)
        ? { lfs: { sha256: sha256(body), size: body.length, pointerSize: 1 } }
        : {}),
    }));
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ _id: '1', id: 'x', sha: commit, siblings }));
  }

  #serve(
    request: IncomingMessage,
    response: ServerResponse,
    file: string,
    whole: Uint8Array,
    headers: Record<string, string>,
  ): void {
    const fault = this.faults.get(file)?.shift();
    if (fault?.kind === 'status') return void response.writeHead(fault.status, fault.headers).end();
    const body = Uint8Array.from(whole);
    if (fault?.kind === 'change') body[fault.at] = (body[fault.at] ?? 0) ^ 1;
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? Number.NaN);
    const ranged = Number.isInteger(start) && fault?.kind !== 'ignore range';
    if (ranged && start >= body.length) {
      return void response.writeHead(416, { ...headers, 'content-range': `bytes */${body.length}` }).end();
    }
    const rest = ranged ? body.subarray(start) : body;
    const range = ranged ? { 'content-range': `bytes ${start}-${body.length - 1}/${body.length}` } : {};
    response.writeHead(ranged ? 206 : 200, { ...headers, ...range, 'content-length': rest.length });
    if (fault?.kind !== 'reset' && fault?.kind !== 'stall') return void response.end(rest);
    const sent = rest.subarray(0, fault.after);
    response.write(sent, async () => {
      if (fault.kind !== 'reset') return;
      await this.kept((ranged ? start : 0) + sent.length);
      response.destroy();
    });
  }

  #note({ headers }: IncomingMessage, { pathname }: URL): void {
    const { range, authorization, host } = headers;
    this.log.push({ path: pathname, range, authorization, host });
  }
}

export function sha256(body: Uint8Array): string {
  return createHash('sha256').update(body).digest('hex');
}

function gitHash(body: Uint8Array): string {
  return createHash('sha1').update(`blob ${body.length}\0`).update(body).digest('hex');
}
