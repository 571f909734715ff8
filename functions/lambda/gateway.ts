/**
 * The gateway as a Lambda function: `handler` behind an HTTP API, `stream` behind a function URL that streams. While the
 * function starts models are loaded up to the floor of its tier, and further as long as Lambda's time for that allows; the
 * rest, newer versions, traces and profiles follow after invocations.
 *
 * The runtime cuts a handler's name at the first dot of its file's base name: files here have none.
 */
import { availableParallelism } from 'node:os';
import { handle, streamHandle } from 'hono/aws-lambda';
import { createNodeGateway, optionsFromEnvironment } from '../../src/host/index.ts';
import { afterInvocations } from './after-invocation.ts';

/** An environment on demand has 10 s to start in; beyond it starts again inside the first invocation, ms. */
const START_MS = 8000;
/** Loading may keep an environment for so long after each invocation, ms. */
const SLICE_MS = 1000;
/** Newer versions are asked for no more often, unless `CONCERTINA_POLL_SECONDS` says so, ms. */
const LOOK_MS = 60_000;

const { AWS_LAMBDA_INITIALIZATION_TYPE: kind, AWS_LAMBDA_RUNTIME_API: runtimeApi } = process.env;
/** Managed instances run on between requests, several at a time: like a server. Others are frozen, and serve one at a time. */
const freezes = kind !== 'lambda-managed-instances';

const options = await optionsFromEnvironment(process.env);
const lookMs = options.pollMs ?? LOOK_MS;
const gateway = await createNodeGateway({
  ...options,
  // All cores compute the one request that there is.
  ...(freezes && { workers: options.workers ?? 1, threads: options.threads ?? availableParallelism() }),
  pollMs: freezes ? 0 : lookMs,
});
const begin = freezes
  ? await afterInvocations(runtimeApi, (message) => options.log?.note(message))
  : undefined;
await gateway.loader.start();
// Provisioned concurrency may take minutes, and is there to be ready.
const rest = kind === 'provisioned-concurrency' ? Number.POSITIVE_INFINITY : START_MS - performance.now();
await within(gateway.loader.loaded(), rest);

let refreshed = Date.now();
let answered = Promise.withResolvers<void>();
begin?.(async () => {
  // The event comes to the extension and to the handler at once; what follows waits for the handler.
  await answered.promise;
  answered = Promise.withResolvers();
  await gateway.flush();
  if (Date.now() - refreshed >= lookMs) {
    refreshed = Date.now();
    await gateway.refreshKeys();
  }
  await within(Promise.all([gateway.loader.loaded(), gateway.loader.look(lookMs)]), SLICE_MS);
  await gateway.loader.keep();
});

const answer = handle(gateway.app);
export const handler: typeof answer = async (...invocation) => {
  try {
    return await answer(...invocation);
  } finally {
    if (!begin) await gateway.flush();
    answered.resolve();
  }
};

const streamed: ReturnType<typeof streamHandle> = streamHandle(gateway.app);
export const stream: typeof streamed = Object.assign(
  async (...invocation: Parameters<typeof streamed>) => {
    try {
      return await streamed(...invocation);
    } finally {
      if (!begin) await gateway.flush();
      answered.resolve();
    }
  },
  // The runtime knows a handler that streams by a mark on it.
  streamed,
);

/** Waits for work, but no longer than so. */
async function within(work: Promise<unknown>, ms: number): Promise<void> {
  const waited = new AbortController();
  const over = new Promise<void>((done) => {
    if (ms === Number.POSITIVE_INFINITY) return;
    const timer = setTimeout(done, Math.max(0, ms));
    waited.signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  });
  await Promise.race([work, over]);
  waited.abort();
}
