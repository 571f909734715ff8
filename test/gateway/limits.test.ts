import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serve } from '../../src/cli/commands/serve.ts';
import { edgeSettings } from '../../src/edge/index.ts';
import { DEFAULT_LIMITS } from '../../src/gateway/index.ts';
import { optionsFromEnvironment, type RunningServer, startServer } from '../../src/host/index.ts';
import { dataUri, picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';

const ENVIRONMENT = {
  CONCERTINA_BODY_BYTES: '1000',
  CONCERTINA_BODY_MS: '2000',
  CONCERTINA_INPUTS: '3',
  CONCERTINA_PIXELS: '4000',
};
const LIMITS = { bodyBytes: 1000, bodyMs: 2000, inputs: 3, pixels: 4000 };

describe('the limits of a request', () => {
  let server: RunningServer;

  beforeAll(async () => {
    const config = join(await mkdtemp(join(tmpdir(), 'concertina-')), 'tiers.json');
    const tiers = { open: { default: true, limits: { inputs: 2, pixels: 2000, bodyBytes: 5000 } } };
    await writeFile(config, JSON.stringify({ tiers }));
    const limits = { inputs: 1, pixels: 100 };
    server = await startServer({ store: await tinyStore(), port: 0, workers: 1, config, limits });
    await server.loaded();
  });
  afterAll(() => server.close());

  it('have an environment variable each, on Node and in a Worker, and a flag', async () => {
    const store = await mkdtemp(join(tmpdir(), 'concertina-store-'));
    const { limits } = await optionsFromEnvironment({ CONCERTINA_STORE: store, ...ENVIRONMENT });
    expect(limits).toEqual(LIMITS);
    expect(edgeSettings(ENVIRONMENT, 'tiers: {open: {}}')).toMatchObject(LIMITS);
    const console = { print() {}, say() {}, reporter: () => expect.fail('nothing is reported') };
    const options = serve(console as unknown as Parameters<typeof serve>[0]).options; // it says nothing
    for (const name of Object.keys(ENVIRONMENT))
      expect([name, options.find(({ envVar }) => envVar === name)?.long]).toEqual([
        name,
        expect.stringMatching(/^--max-/),
      ]);
    await expect(
      optionsFromEnvironment({ CONCERTINA_STORE: store, CONCERTINA_INPUTS: 'many' }),
    ).rejects.toMatchObject({ code: 'invalid-settings' });
  });

  it("are the tier's where it sets them", async () => {
    const uri = dataUri(await picture());
    const send = async (input: unknown) => {
      const response = await fetch(`${server.url}/v1/embeddings`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ input }),
      });
      return (await response.json()) as { code?: string; limit?: number; maxPixels?: number }; // a problem, or an answer
    };
    expect((await send([uri, uri])).code).toBeUndefined();
    expect(await send([uri, uri, uri])).toMatchObject({ code: 'too-many-inputs', limit: 2 });
    const wide = dataUri(await picture('#000000', { width: 100, height: 30 }));
    expect(await send(wide)).toMatchObject({ code: 'too-many-pixels', maxPixels: 2000 });
    expect(await send('x'.repeat(5001))).toMatchObject({ code: 'body-too-large', limit: 5000 });
    // Where neither says anything, a request takes what bytes allow.
    expect(DEFAULT_LIMITS.inputs).toBe(2048);
  });
});
