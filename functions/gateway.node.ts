/** The gateway as a process that is configured by its environment: `node functions/gateway.node.ts`. */
import { optionsFromEnvironment, startServer } from '../src/host/index.ts';

const server = await startServer(await optionsFromEnvironment(process.env));
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => void server.close());
