import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { dataUri, picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';

/** A virtual environment with what requirements.txt names: `python3 -m venv test/clients/.venv`, and pip. */
const PYTHON = join(import.meta.dirname, '.venv/bin/python');
const CLIENTS = ['openai', 'langchain-openai', 'litellm', 'cohere', 'voyageai', 'tritonclient'];

interface Asked {
  readonly client: string;
  readonly vectors: readonly (readonly number[])[];
  readonly [more: string]: unknown;
}

describe.skipIf(!existsSync(PYTHON))('Python clients (need test/clients/.venv)', () => {
  let server: RunningServer;
  let expected: number[][];
  /** What the gateway itself says about the broken picture. */
  let refusal: string;
  let asked: readonly Asked[];

  beforeAll(async () => {
    server = await startServer({ store: await tinyStore(), port: 0, workers: 1 });
    await server.loaded();
    const bytes = await Promise.all(['#ff0000', '#00ff00', '#0000ff'].map((colour) => picture(colour)));
    expected = await Promise.all(
      bytes.map(async (body) => {
        const headers = { Accept: 'application/octet-stream' };
        const response = await fetch(`${server.url}/v1/embed`, { method: 'POST', body, headers });
        return [...new Float32Array(await response.arrayBuffer())];
      }),
    );
    const input = [...bytes.map((body) => dataUri(body)), 'data:image/png;base64,bm90IGFuIGltYWdl'];
    const refused = await fetch(`${server.url}/v1/embeddings`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ input: input.at(-1) }),
    });
    refusal = ((await refused.json()) as { detail: string }).detail; // a problem's
    const said = await new Promise<string>((done, fail) => {
      const child = execFile(
        PYTHON,
        [join(import.meta.dirname, 'clients.py'), server.url],
        { env: { ...process.env, LITELLM_LOCAL_MODEL_COST_MAP: 'True' }, maxBuffer: 1e8 },
        (error, out) => (error ? fail(error) : done(out)),
      );
      child.stdin?.end(JSON.stringify(input));
    });
    asked = said
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Asked); // what clients.py prints
  });
  afterAll(() => server?.close());

  const of = (name: string): Asked =>
    asked.find(({ client }) => client === name) ?? expect.fail(`${name} is missing`);

  it.each(CLIENTS)('%s gets the vectors that the gateway gives', (name) => {
    // Voyage's client encodes pictures again, as they are: PNG is lossless.
    expect(of(name).vectors).toEqual(expected);
  });

  it.each(['openai', 'litellm'])('%s sends 300 pictures in one request', (name) => {
    expect(of(name).many).toBe(300);
  });

  it.each(CLIENTS.filter((name) => name !== 'voyageai'))(
    '%s raises what a broken picture is refused with',
    (name) => {
      expect(of(name).broken).toEqual([expect.any(String), expect.stringContaining(refusal)]);
    },
  );

  it.each(['openai', 'litellm', 'tritonclient'])(
    '%s passes a budget on, and raises what it is refused with',
    (name) => {
      expect(of(name).budget).toEqual([expect.any(String), expect.stringContaining('there is no term')]);
    },
  );

  it('each says more in its own way', () => {
    expect(of('openai')).toMatchObject({
      applied: expect.stringContaining('level=0'),
      broken: ['UnprocessableEntityError', expect.any(String)],
      text: ['BadRequestError', expect.stringContaining('is text')],
    });
    expect(of('cohere').bytes).toBe(2);
    expect(of('voyageai').text).toEqual([expect.any(String), expect.stringContaining('is text')]);
    expect(of('tritonclient')).toMatchObject({ ready: [true, true, true], same: true, shape: [-1, 12] });
  });
});
