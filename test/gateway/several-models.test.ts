import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { memoryStore } from '../../src/storage/index.ts';
import { picture } from '../support/pictures.ts';
import { publishTiny } from '../support/tiny-store.ts';
import { tinyConfig } from '../support/tiny-vit.ts';

interface Answer {
  readonly model?: string;
  readonly embedding?: readonly number[];
  readonly code?: string;
  readonly models?: readonly string[];
}

describe('several models at once', () => {
  let all: RunningServer;
  let chosen: RunningServer;
  let image: Uint8Array<ArrayBuffer>;

  beforeAll(async () => {
    const store = memoryStore();
    await publishTiny(store);
    await publishTiny(store, { model: 'wide', config: tinyConfig({ width: 24, embeddingWidth: 24 }) }, 2);
    all = await startServer({ store, port: 0, workers: 1 });
    chosen = await startServer({ store, port: 0, workers: 1, models: ['wide', 'tiny'] });
    await Promise.all([all.loaded(), chosen.loaded()]);
    image = await picture();
  });
  afterAll(() => Promise.all([all.close(), chosen.close()]));

  async function embed({ url }: RunningServer, query = ''): Promise<{ status: number; body: Answer }> {
    const headers = { 'Content-Type': 'image/png' };
    const response = await fetch(`${url}/v1/embed${query}`, { method: 'POST', body: image, headers });
    return { status: response.status, body: (await response.json()) as Answer }; // checked below
  }

  it('are listed, and each answers to its name', async () => {
    const { data } = (await (await fetch(`${all.url}/v1/models`)).json()) as { data: { id: string }[] };
    expect(data.map(({ id }) => id).sort()).toEqual(['tiny', 'wide']);
    for (const [name, width] of [
      ['tiny', 12],
      ['wide', 24],
    ] as const) {
      const { body } = await embed(all, `?model=${name}`);
      expect({ model: body.model, width: body.embedding?.length }).toEqual({ model: name, width });
    }
  });

  it('must be told apart where none is the default; the problem lists them', async () => {
    for (const query of ['', '?model=huge']) {
      const { status, body } = await embed(all, query);
      expect(status).toBe(404);
      expect(body).toMatchObject({ code: 'unknown-model', models: ['tiny', 'wide'] });
    }
    const missing = await fetch(`${all.url}/v1/models/huge`);
    expect([missing.status, ((await missing.json()) as Answer).code]).toEqual([404, 'unknown-model']);
  });

  it('the first that a gateway was told to serve answers requests that name none', async () => {
    expect((await embed(chosen)).body.model).toBe('wide');
    expect((await embed(chosen, '?model=tiny')).body.model).toBe('tiny');
  });
});
