/**
 * Router overhead: what a request at the smallest level takes beyond decoding and the engine, with everything on (keys, rate
 * limit, metrics, logs, CORS). `node bench/overhead.ts [--quick] [--json] [--out folder]`
 */
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { gatewayLog, startServer } from '../src/host/index.ts';
import { prune } from '../src/pruning/index.ts';
import { createKey } from '../src/serving/index.ts';
import { memoryStore } from '../src/storage/index.ts';
import { machine } from './machine.ts';
import { median, quantile } from './statistics.ts';

const ROOT = join(import.meta.dirname, '..');
const { values } = parseArgs({
  options: { quick: { type: 'boolean' }, json: { type: 'boolean' }, out: { type: 'string' } },
});
const count = values.quick ? 300 : 3000;

const store = memoryStore();
const folder = await mkdtemp(join(tmpdir(), 'concertina-overhead-'));
const assets = join(ROOT, 'assets');
await prune({
  model: join(assets, 'sample-model'),
  images: join(assets, 'sample-images'),
  store,
  work: folder,
  recipe: 'quick',
});
const { key, hash } = await createKey();
const config = join(folder, 'tiers.json');
const tier = { keys: [hash], rateLimit: { requests: 1_000_000, windowSeconds: 1 } };
await writeFile(config, JSON.stringify({ tiers: { gold: tier } }));
let lines = 0;
const log = gatewayLog('json', () => lines++);
const server = await startServer({ store, port: 0, config, log });
await server.loaded();
const image = await readFile(join(assets, 'sample-images/fish-1.jpg'));
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

/** One request; the time at the client, and what the server says that decoding, waiting and the engine took, ms. */
function embed(): Promise<{ total: number; work: number }> {
  const began = performance.now();
  return new Promise((done, fail) => {
    const outgoing = request(
      `${server.url}/v1/embed`,
      {
        method: 'POST',
        agent,
        headers: {
          'Content-Type': 'image/jpeg',
          'Content-Length': image.length,
          'Compute-Budget': 'level=0',
          Authorization: `Bearer ${key}`,
          Accept: 'application/octet-stream',
        },
      },
      (response) => {
        response.resume();
        response.once('end', () => {
          const timing = String(response.headers['server-timing'] ?? '');
          const phase = (name: string) =>
            Number(new RegExp(`${name};dur=([\\d.]+)`).exec(timing)?.[1] ?? Number.NaN);
          done({ total: performance.now() - began, work: phase('decode') + phase('infer') });
        });
      },
    );
    outgoing.once('error', fail);
    outgoing.end(image);
  });
}

for (let i = 0; i < 100; i++) await embed();
const overheads: number[] = [];
const totals: number[] = [];
for (let i = 0; i < count; i++) {
  const { total, work } = await embed();
  overheads.push(total - work);
  totals.push(total);
}
await server.close();
agent.destroy();
const result = {
  requests: count,
  overhead_p50: median(overheads),
  overhead_p95: quantile(overheads, 0.95),
  total_p50: median(totals),
  logged: lines,
};
if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
else
  process.stdout.write(
    `overhead p50 ${result.overhead_p50.toFixed(3)} ms, p95 ${result.overhead_p95.toFixed(3)} ms of ${result.total_p50.toFixed(2)} ms\n`,
  );
if (values.out !== undefined) {
  await mkdir(values.out, { recursive: true });
  await writeFile(
    join(values.out, 'overhead.md'),
    `# Router overhead

Made by \`node bench/overhead.ts --out bench/results\`. ${machine()}
One client on loopback, keep-alive, ${count} requests with a ${image.length}-byte JPEG at level 0 of the sample model, with key, rate
limit, metrics, JSON logs and CORS on. Overhead: the time at the client less the server's decode and engine time, so that it
holds the sockets of both sides too.

| p50, ms | p95, ms | whole request p50, ms |
|---|---|---|
| **${result.overhead_p50.toFixed(3)}** | ${result.overhead_p95.toFixed(3)} | ${result.total_p50.toFixed(2)} |
`,
  );
}
