import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

const CLIENT = join(import.meta.dirname, 'runtime-client/node_modules/aws-lambda-ric');
/** Whether AWS's runtime client has been installed and built: `npm ci --ignore-scripts`, `sh build.sh` in test/functions/runtime-client. */
export const runtimeClient = existsSync(join(CLIENT, 'rapid-client.node'));
export const NEEDS_CLIENT = '(needs test/functions/runtime-client)';

export interface Invocation {
  /** What the runtime posts: an answer, or an error's JSON. */
  readonly body: Buffer;
  readonly failed: boolean;
  /** `Lambda-Runtime-Function-Response-Mode`, for streams. */
  readonly mode: string | undefined;
  readonly contentType: string | undefined;
}

export interface Environment {
  /** When the function has started and waits. @throws what it posted as its initialisation's error */
  readonly started: Promise<void>;
  /** Thaws the process, invokes, and freezes it again when runtime and extensions wait for the next. */
  invoke(event: unknown): Promise<Invocation>;
  /** Extensions that registered. */
  readonly extensions: readonly string[];
  readonly output: () => string;
  stop(): Promise<void>;
}

/**
 * One Lambda environment: AWS's own runtime client for Node on a small Runtime API and Extensions API
 * (docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, runtimes-extensions-api.html), frozen by SIGSTOP between invocations.
 */
export async function startEnvironment(given: {
  readonly handler: string;
  readonly taskRoot: string;
  readonly environment: Readonly<Record<string, string>>;
}): Promise<Environment> {
  const extensions: string[] = [];
  const started = Promise.withResolvers<void>();
  let runtimeWaits: ServerResponse | undefined;
  const extensionsWait = new Map<string, ServerResponse>();
  let current:
    | { readonly id: string; readonly event: unknown; done(invocation: Invocation): void }
    | undefined;
  let idle = Promise.withResolvers<void>();
  let count = 0;

  const settle = () => {
    if (current || !runtimeWaits || extensionsWait.size < extensions.length) return;
    started.resolve();
    child.kill('SIGSTOP');
    idle.resolve();
  };
  const server = createServer(async (request, response) => {
    const path = new URL(request.url ?? '/', 'http://runtime').pathname;
    const [, id, kind] = /^\/2018-06-01\/runtime\/invocation\/([^/]+)\/(response|error)$/.exec(path) ?? [];
    if (path === '/2018-06-01/runtime/invocation/next') {
      runtimeWaits = response;
      settle();
    } else if (path === '/2020-01-01/extension/register') {
      const name = String(request.headers['lambda-extension-name']);
      await bytesOf(request);
      extensions.push(name);
      response.setHeader('Lambda-Extension-Identifier', name);
      response.end(JSON.stringify({ functionName: 'f', functionVersion: '1', handler: given.handler }));
    } else if (path === '/2020-01-01/extension/event/next') {
      extensionsWait.set(String(request.headers['lambda-extension-identifier']), response);
      settle();
    } else if (path === '/2018-06-01/runtime/init/error') {
      started.reject(new Error((await bytesOf(request)).toString()));
      response.writeHead(202).end('{}');
    } else if (kind && id === current?.id) {
      const body = await bytesOf(request);
      const header = (name: string) => request.headers[name] as string | undefined; // of these, one each
      const trailer = request.trailers['lambda-runtime-function-error-type'];
      const { done } = current ?? {};
      current = undefined;
      response.writeHead(202).end('{}');
      done?.({
        body,
        failed: kind === 'error' || trailer !== undefined,
        mode: header('lambda-runtime-function-response-mode'),
        contentType: header('content-type'),
      });
    } else response.writeHead(404).end();
  });
  server.requestTimeout = 0;
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo; // it listens
  const child: ChildProcess = spawn(process.execPath, [join(CLIENT, 'index.mjs'), given.handler], {
    cwd: given.taskRoot,
    env: {
      PATH: process.env.PATH,
      AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${port}`,
      _HANDLER: given.handler,
      LAMBDA_TASK_ROOT: given.taskRoot,
      AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
      AWS_LAMBDA_FUNCTION_NAME: 'concertina',
      AWS_LAMBDA_FUNCTION_VERSION: '1',
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '3538',
      AWS_LAMBDA_LOG_GROUP_NAME: '/aws/lambda/concertina',
      AWS_LAMBDA_LOG_STREAM_NAME: 'stream',
      AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
      AWS_REGION: 'eu-central-1',
      ...given.environment,
    },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data) => (output += data));
  const exited = new Promise<void>((done) => child.once('exit', () => done()));
  void exited.then(() => started.reject(new Error(`The function exited. ${output.slice(-3000)}`)));
  started.promise.catch(() => {});

  return {
    started: started.promise,
    extensions,
    output: () => output,
    async invoke(event) {
      await started.promise;
      await idle.promise;
      idle = Promise.withResolvers();
      const answered = Promise.withResolvers<Invocation>();
      const id = `request-${++count}`;
      current = { id, event, done: answered.resolve };
      void exited.then(() => answered.reject(new Error(`The function exited. ${output.slice(-3000)}`)));
      child.kill('SIGCONT');
      const [runtime, waiting] = [runtimeWaits, [...extensionsWait.values()]];
      runtimeWaits = undefined;
      extensionsWait.clear();
      for (const extension of waiting)
        extension.end(
          JSON.stringify({ eventType: 'INVOKE', requestId: id, deadlineMs: Date.now() + 29_000 }),
        );
      runtime?.setHeader('Lambda-Runtime-Aws-Request-Id', id);
      runtime?.setHeader('Lambda-Runtime-Deadline-Ms', Date.now() + 29_000);
      runtime?.setHeader(
        'Lambda-Runtime-Invoked-Function-Arn',
        'arn:aws:lambda:eu-central-1:1:function:concertina',
      );
      runtime?.setHeader('Content-Type', 'application/json');
      runtime?.end(JSON.stringify(event));
      return await answered.promise;
    },
    async stop() {
      child.kill('SIGKILL');
      await exited;
      server.closeAllConnections();
      server.close();
    },
  };
}

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}
