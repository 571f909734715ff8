/**
 * The gateway as a Lambda function: `handler` behind an HTTP API, `stream` behind a function URL that streams. The model
 * is loaded while the function starts, up to its smallest level; the rest streams in behind the first requests.
 */
import { handle, streamHandle } from 'hono/aws-lambda';
import { createNodeGateway, optionsFromEnvironment } from '../src/host/index.ts';

// Nothing is polled between invocations: the clock of a frozen function stands still, and new code starts new functions.
const gateway = await createNodeGateway({ ...(await optionsFromEnvironment(process.env)), pollMs: 0 });
await gateway.loader.start();

const answer = handle(gateway.app);
export const handler: typeof answer = async (...invocation) => {
  const response = await answer(...invocation);
  // A frozen function sends nothing: traces leave before it is.
  await gateway.flush();
  return response;
};
export const stream: ReturnType<typeof streamHandle> = streamHandle(gateway.app);
