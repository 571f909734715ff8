import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openStore } from '../../src/storage/node.ts';
import { picture } from '../support/pictures.ts';
import { publishTiny } from '../support/tiny-store.ts';
import { lambdaEvent } from './lambda-event.ts';
import { type Environment, NEEDS_CLIENT, runtimeClient, startEnvironment } from './runtime-api.ts';
import { type FunctionOfTemplate, makeTaskRoot, templateFunctions } from './task-root.ts';

interface Answer {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  readonly body: string;
  readonly isBase64Encoded: boolean;
}

describe.skipIf(!runtimeClient)(`the Lambda functions in AWS's own runtime client ${NEEDS_CLIENT}`, () => {
  let task: Awaited<ReturnType<typeof makeTaskRoot>>;
  let functions: Record<string, FunctionOfTemplate>;
  let folder: string;
  let image: Uint8Array<ArrayBuffer>;
  const running: Environment[] = [];
  let keys: string;

  beforeAll(async () => {
    keys = join(await mkdtemp(join(tmpdir(), 'concertina-keys-')), 'keys.json');
    await writeFile(keys, '{}');
    [task, functions, image] = await Promise.all([makeTaskRoot(), templateFunctions(), picture()]);
  });
  afterAll(() => task.remove());
  afterEach(() => Promise.all(running.splice(0).map((environment) => environment.stop())));

  /** A function of the template, on a store in a folder. */
  async function start(
    name: string,
    given: Record<string, string> = {},
    published = true,
  ): Promise<Environment> {
    folder = await mkdtemp(join(tmpdir(), 'concertina-lambda-'));
    if (published) await publishTiny(await openStore(folder));
    const { image: of, environment = {} } = functions[name] ?? expect.fail(name);
    const variables = Object.fromEntries(
      Object.entries(environment).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
    );
    const started = await startEnvironment({
      handler: of.command[0] ?? '',
      taskRoot: task.path,
      environment: {
        ...variables,
        CONCERTINA_STORE: folder,
        CONCERTINA_KEYS: keys,
        CONCERTINA_CONFIG: join(task.path, 'deploy/tiers.yaml'),
        ...given,
      },
    });
    running.push(started);
    return started;
  }

  async function call(environment: Environment, path: string, headers: Record<string, string>, body = image) {
    const { body: answer, failed } = await environment.invoke(
      lambdaEvent(path, body, headers, body.length === 0 ? 'GET' : 'POST'),
    );
    expect(failed, answer.toString()).toBe(false);
    return JSON.parse(answer.toString()) as Answer;
  }

  it('starts, and answers behind its base path, as JSON and as bytes', async () => {
    const free = await start('gateway-free');
    await free.started;
    const answer = await call(free, '/free/v1/embed', { 'content-type': 'image/png' });
    expect(answer.statusCode, answer.body).toBe(200);
    expect(JSON.parse(answer.body).embedding).toHaveLength(12);
    const accept = { 'content-type': 'image/png', accept: 'application/octet-stream' };
    const bytes = await call(free, '/free/v1/embed', accept);
    expect([bytes.isBase64Encoded, Buffer.from(bytes.body, 'base64').length]).toEqual([true, 48]);
    const none = new Uint8Array();
    expect((await call(free, '/free/readyz', {}, none)).statusCode).toBe(200);
    expect((await call(free, '/readyz', {}, none)).statusCode).toBe(200);
    // What is public shows nothing that has no key.
    for (const page of ['metrics', 'docs', 'openapi.json', ''])
      expect((await call(free, `/free/${page}`, {}, none)).statusCode, page).toBe(404);
  });

  it('has all levels at its first request', async () => {
    const standard = await start('gateway-standard', {
      CONCERTINA_TIER: 'free',
      CONCERTINA_BASE_PATH: '/standard',
    });
    const answer = await call(standard, '/standard/v1/embed', { 'content-type': 'image/png' });
    expect(answer.headers['compute-applied']).not.toContain('limited-by=loading');
    const models = JSON.parse((await call(standard, '/standard/readyz', {}, new Uint8Array())).body).models;
    expect(models).toMatchObject([{ id: 'tiny', loaded: 2, levels: 3 }]);
  });

  it('streams what the function URL is asked for', async () => {
    const stream = await start('gateway-free-stream');
    const sent = lambdaEvent('/v1/embed', image, { 'content-type': 'image/png' });
    for (let time = 0; time < 2; time++) {
      const { body, mode, contentType, failed } = await stream.invoke(sent);
      expect([failed, mode, contentType]).toEqual([
        false,
        'streaming',
        'application/vnd.awslambda.http-integration-response',
      ]);
      const end = body.indexOf(Buffer.alloc(8));
      expect(JSON.parse(body.subarray(0, end).toString())).toMatchObject({ statusCode: 200 });
      expect(JSON.parse(body.subarray(end + 8).toString()).embedding).toHaveLength(12);
    }
  });

  it('starts on an empty store, says not-ready, and serves what is published between frozen invocations', async () => {
    const free = await start('gateway-free', { CONCERTINA_POLL_SECONDS: '0' }, false);
    await free.started;
    const headers = { 'content-type': 'image/png' };
    const first = await call(free, '/free/v1/embed', headers);
    expect([first.statusCode, JSON.parse(first.body).code]).toEqual([503, 'not-ready']);
    const store = await openStore(folder);
    const digests = new Set<string>();
    for (const seed of [1, 2]) {
      const { digest } = await publishTiny(store, {}, seed);
      // Looked for after an invocation, and loaded after a few more at most.
      for (let invocation = 0; invocation < 8 && !digests.has(digest); invocation++) {
        const { body } = await call(free, '/free/readyz', {}, new Uint8Array());
        for (const model of JSON.parse(body).models ?? []) digests.add(model.digest);
      }
      expect([...digests], free.output()).toContain(digest);
    }
    expect((await call(free, '/free/v1/embed', headers)).statusCode).toBe(200);
    expect(free.extensions).toEqual(['concertina']);
  });

  it('embeds a batch of the bulk state machine', async () => {
    const bulk = await start('bulk');
    const store = await openStore(folder);
    await store.put('bulk/a.png', image);
    const event = {
      Items: [{ key: 'bulk/a.png' }, { key: 'bulk/gone.png' }],
      BatchInput: { model: 'tiny', budget: 'level=1', run: 'today', bucket: `file://${folder}` },
    };
    const { body, failed } = await bulk.invoke(event);
    expect(failed, body.toString()).toBe(false);
    expect(JSON.parse(body.toString())).toMatchObject({ embedded: 1, failed: 1 });
    const wrong = await bulk.invoke({ Items: [] });
    expect([wrong.failed, wrong.body.toString()]).toEqual([true, expect.stringContaining('Items')]);
  });

  it('refuses a caller without a known key in a small function of its own', async () => {
    const authorize = await start('authorize', {}, false);
    const event = { rawPath: '/premium/v1/embed', headers: { authorization: 'Bearer ck_none' } };
    const { body } = await authorize.invoke(event);
    expect(JSON.parse(body.toString())).toEqual({ isAuthorized: false });
  });

  it('says in one sentence why it cannot start', async () => {
    const broken = await start('gateway-free', { CONCERTINA_TIER: 'gold' });
    await expect(broken.started).rejects.toThrow('There is no tier \\"gold\\"');
  });
});
