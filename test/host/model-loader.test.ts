import { afterEach, describe, expect, it } from 'vitest';
import { createNodeGateway, type ServerOptions } from '../../src/host/index.ts';
import { memoryStore } from '../../src/storage/index.ts';
import { gatedStore } from '../support/gated-store.ts';
import { picture } from '../support/pictures.ts';
import { publishTiny } from '../support/tiny-store.ts';

type Gateway = Awaited<ReturnType<typeof createNodeGateway>>;
const running: Gateway[] = [];
afterEach(() => Promise.all(running.splice(0).map(({ dispose }) => dispose())));

async function started(options: ServerOptions): Promise<Gateway> {
  const gateway = await createNodeGateway({ pollMs: 0, workers: 1, ...options });
  running.push(gateway);
  await gateway.loader.start();
  return gateway;
}

async function embed({ app }: Gateway, model = ''): Promise<{ status: number; code?: string }> {
  const query = model === '' ? '' : `?model=${model}`;
  const answer = await app.request(`/v1/embed${query}`, {
    method: 'POST',
    headers: { 'Content-Type': 'image/png' },
    body: await picture(),
  });
  return { status: answer.status, ...((await answer.json()) as { code?: string }) };
}

describe('a gateway whose store is empty', () => {
  it('starts, says 503 not-ready, and serves the first model when it has come', async () => {
    const store = memoryStore();
    const gateway = await started({ store });
    expect(await embed(gateway)).toMatchObject({ status: 503, code: 'not-ready' });
    const notReady = await gateway.app.request('/readyz');
    expect([notReady.status, notReady.headers.get('Retry-After')]).toEqual([503, '1']);
    expect((await gateway.app.request('/livez')).status).toBe(200);
    await publishTiny(store);
    await gateway.loader.look();
    expect((await embed(gateway)).status).toBe(200);
    expect((await gateway.app.request('/readyz')).status).toBe(200);
  });

  it('waits for a model that was named before it was published, and takes no other in', async () => {
    const store = memoryStore();
    await publishTiny(store, { model: 'other' });
    const gateway = await started({ store, models: ['tiny'] });
    expect(await embed(gateway)).toMatchObject({ status: 503, code: 'not-ready' });
    expect(await embed(gateway, 'tiny')).toMatchObject({ status: 503, code: 'not-ready' });
    await publishTiny(store);
    await gateway.loader.look();
    expect((await embed(gateway)).status).toBe(200);
    expect(await embed(gateway, 'other')).toMatchObject({ status: 404, code: 'unknown-model' });
  });

  it('is not ready while one of two named models is missing, and serves the other', async () => {
    const store = memoryStore();
    await publishTiny(store);
    const gateway = await started({ store, models: ['tiny', 'late'] });
    expect((await embed(gateway)).status).toBe(200);
    expect(await embed(gateway, 'late')).toMatchObject({ status: 503, code: 'not-ready' });
    expect((await gateway.app.request('/readyz')).status).toBe(503);
  });
});

describe('looking for what is new', () => {
  it('finds models that were not there, and stays ready while they are loaded', async () => {
    const origin = memoryStore();
    await publishTiny(origin);
    const store = gatedStore(origin, Number.POSITIVE_INFINITY);
    const gateway = await started({ store });
    await publishTiny(origin, { model: 'second' }, 2);
    store.open(0);
    const looking = gateway.loader.look();
    expect((await gateway.app.request('/readyz')).status).toBe(200);
    expect(await embed(gateway, 'second')).toMatchObject({ status: 404 });
    store.open(Number.POSITIVE_INFINITY);
    await looking;
    expect((await embed(gateway, 'second')).status).toBe(200);
  });

  it('asks the store no more often than it is told', async () => {
    const origin = memoryStore();
    await publishTiny(origin);
    let lists = 0;
    const store = {
      ...origin,
      list: (...words: Parameters<typeof origin.list>) => {
        lists++;
        return origin.list(...words);
      },
    };
    const gateway = await started({ store });
    const before = lists;
    for (let call = 0; call < 5; call++) await gateway.loader.look(60_000);
    expect(lists).toBe(before);
    await Promise.all([gateway.loader.look(), gateway.loader.look()]);
    expect(lists).toBe(before + 1);
  });

  it('leaves out a model that cannot be loaded, and stays ready', async () => {
    const store = memoryStore();
    await publishTiny(store);
    const gateway = await started({ store });
    await store.put('broken/latest.json', new TextEncoder().encode('{'));
    await gateway.loader.look();
    expect((await gateway.app.request('/readyz')).status).toBe(200);
    expect(await embed(gateway, 'broken')).toMatchObject({ status: 503, code: 'loading-stopped' });
  });
});
