import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { stripTypeScriptTypes } from 'node:module';
import { basename, join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { ConcertinaClient } from '../../src/client/index.ts';
import { packageFolder, type RunningServer, startServer } from '../../src/host/index.ts';
import { openStore } from '../../src/storage/node.ts';
import { CHROMIUM, launch } from './support/chromium.ts';

const CLIENT = join(packageFolder(), 'src/client');
const APPLICATION = `<!doctype html><title>Somebody else's</title><link rel="icon" href="data:,">
<script type="module">import { ConcertinaClient } from '/index.ts'; globalThis.Client = ConcertinaClient;</script>`;

describe.skipIf(!CHROMIUM)('the typed client in a browser (needs Chromium)', () => {
  let server: RunningServer;
  let browser: Browser;
  let application: string;
  /** An application of somebody else: the client's files as they are, without their types. */
  const host = createServer(({ url = '/' }, response) => {
    const page = url === '/';
    response.setHeader('Content-Type', page ? 'text/html' : 'text/javascript');
    response.end(
      page ? APPLICATION : stripTypeScriptTypes(readFileSync(join(CLIENT, basename(url)), 'utf8')),
    );
  });

  beforeAll(async () => {
    host.listen(0, '127.0.0.1');
    await once(host, 'listening');
    const address = host.address();
    application = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/`;
    server = await startServer({ store: await openStore(inject('store')), port: 0, workers: 1 });
    await server.loaded();
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    host.close();
  });

  it('gives the numbers that it gives on Node, from a page of another origin', async () => {
    const page = await browser.newPage();
    await page.goto(application);
    await page.waitForFunction('globalThis.Client');
    const seen = await page.evaluate(async (baseUrl) => {
      // The application's script has put it there.
      const { Client } = globalThis as unknown as { Client: typeof ConcertinaClient };
      const client = new Client({ baseUrl });
      const image = await (await fetch(`${baseUrl}/samples/fish-1.jpg`)).blob();
      const { embedding, level, timing, requestId } = await client.embed(image, { flops: 0.7 });
      const [many] = await client.embedMany([image], { flops: 0.7 });
      const aborted = await client
        .embed(image, { signal: AbortSignal.abort() })
        .catch((error: Error) => error.name);
      return {
        numbers: [...embedding],
        many: many && 'embedding' in many ? [...many.embedding] : [],
        level,
        timing,
        requestId,
        aborted,
      };
    }, server.url);
    const image = readFileSync(join(packageFolder(), 'assets/sample-images/fish-1.jpg'));
    const here = await new ConcertinaClient({ baseUrl: server.url }).embed(image, { flops: 0.7 });
    expect(seen.numbers).toEqual([...here.embedding]);
    expect(seen.many).toEqual(seen.numbers);
    expect(seen).toMatchObject({ level: here.level, aborted: 'AbortError' });
    expect(Object.keys(seen.timing)).toEqual(['fetch', 'decode', 'queue', 'infer']);
    expect(seen.requestId).toMatch(/^[0-9a-f-]{36}$/);
    await page.close();
  });
});
