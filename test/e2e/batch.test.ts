import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { readModel } from '../../src/vit/index.ts';
import { folderFiles } from '../../src/vit/node.ts';
import { dataUri } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';

const ASSETS = join(import.meta.dirname, '../../assets');
const COUNT = 64;

let server: RunningServer;

beforeAll(async () => {
  // The sample model's own weights; the smaller levels are prefixes of its units, worth 0.6 and 0.9 by what is published.
  const { config, tensors } = await readModel(folderFiles(join(ASSETS, 'sample-model')));
  server = await startServer({ store: await tinyStore({ config, tensors }), port: 0, workers: 2 });
  await server.loaded();
});
afterAll(() => server.close());

/** The sample pictures, and each of them turned, until there are enough. */
async function pictures(): Promise<Buffer[]> {
  const folder = join(ASSETS, 'sample-images');
  const names = (await readdir(folder)).filter((name) => name.endsWith('.jpg')).sort();
  const whole = await Promise.all(names.map((name) => readFile(join(folder, name))));
  const turned = whole.map((picture) => sharp(picture).rotate(90).jpeg().toBuffer());
  return [...whole, ...(await Promise.all(turned))].slice(0, COUNT);
}

it("one caller's batch of 64 on an idle gateway: every vector bit for bit that of the picture sent alone", async () => {
  const images = await pictures();
  expect(images).toHaveLength(COUNT);
  const input = images.map((image) => dataUri(image, 'image/jpeg'));
  const response = await fetch(`${server.url}/v1/embeddings`, {
    method: 'POST',
    body: JSON.stringify({ input }),
    headers: { 'Content-Type': 'application/json' },
  });
  expect(response.headers.get('Compute-Applied')).toMatch(/^level=2, .*limited-by=none$/);
  const { data } = (await response.json()) as { data: { embedding: number[]; level: number }[] }; // the contract's shape
  for (const [at, image] of images.entries()) {
    const alone = await fetch(`${server.url}/v1/embed`, { method: 'POST', body: new Uint8Array(image) });
    const { embedding } = (await alone.json()) as { embedding: number[] }; // the contract's shape
    expect(data[at]?.level).toBe(2);
    expect(data[at]?.embedding).toEqual(embedding);
  }
  expect(new Set(data.map(({ embedding }) => embedding.join())).size).toBe(COUNT);
});
