/** The gateway of the HTTP part, in a process of its own so that it can be given a core of its own: prints its address. */
import { gatewayLog, startServer } from '../../src/host/index.ts';
import { openStore } from '../../src/storage/node.ts';

const [store = '', config] = process.argv.slice(2);
const server = await startServer({
  store: await openStore(store),
  port: 0,
  workers: 1,
  pollMs: 0,
  log: gatewayLog('none', () => {}),
  ...(config !== undefined && { config }),
});
await server.loaded();
process.stdout.write(`${server.url}\n`);
process.once('SIGTERM', async () => {
  await server.close();
  process.exit();
});
