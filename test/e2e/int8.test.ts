import { globSync, readFileSync } from 'node:fs';
import { mkdtemp, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Manifest, openCheckpoint } from '../../src/checkpoint/index.ts';
import { createModel, type ElasticModel, ladderOptions } from '../../src/engine/index.ts';
import { startServer } from '../../src/host/index.ts';
import { prune } from '../../src/pruning/index.ts';
import { memoryStore } from '../../src/storage/index.ts';
import { readModel } from '../../src/vit/index.ts';
import { folderFiles, sharpDecoder } from '../../src/vit/node.ts';
import { literalEmbedding } from '../network/literal-vit.ts';
import { AUGREG, DEIT, hasSharedData, SHARED_DATA } from '../support/shared-data.ts';

/** Photographs that are not of the kind that the checkpoint is made with. */
const CLOTHING = hasSharedData
  ? globSync('**/*.jpg', { cwd: join(SHARED_DATA, 'images/clothing') })
      .toSorted()
      .filter((_, index, all) => index % Math.floor(all.length / 40) === 0)
      .map((name) => join(SHARED_DATA, 'images/clothing', name))
  : [];
/** What int8 is to keep of the full network, as cosine. */
const FIDELITY = 0.9985;

const cosine = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] ?? 0, b[i] ?? 0];
    [dot, aa, bb] = [dot + x * y, aa + x * x, bb + y * y];
  }
  return dot / Math.sqrt(aa * bb);
};

describe.skipIf(!hasSharedData).each([
  ['AugReg ViT-Ti', AUGREG],
  ['DeiT-Ti', DEIT],
])('%s in int8, on photographs of another kind (needs ../shared/data)', (_, folder) => {
  const store = memoryStore();
  let manifest: Manifest;
  let engine: ElasticModel;
  let top: number;

  beforeAll(async () => {
    const images = await mkdtemp(join(tmpdir(), 'concertina-photos-'));
    const photos = globSync('*.jpg', { cwd: join(SHARED_DATA, 'images/calibration') }).toSorted();
    for (const name of photos.slice(0, 24))
      await symlink(join(SHARED_DATA, 'images/calibration', name), join(images, basename(name)));
    const work = await mkdtemp(join(tmpdir(), 'concertina-work-'));
    await prune({ model: folder, images, store, name: 'real', recipe: 'quick', levels: [0.5, 1], work });
    const checkpoint = await openCheckpoint(store, 'real');
    manifest = checkpoint.manifest;
    top = manifest.ladder.length - 1;
    engine = await createModel({ ...ladderOptions(manifest), device: 'cpu', workers: 2 });
    for await (const weights of checkpoint.levels()) await engine.install(weights);
  });
  afterAll(() => engine?.dispose());

  it('keeps a cosine of 0.9985 to the full network, and gives an image the same bits in a batch', async () => {
    const { config } = manifest;
    const decoder = sharpDecoder();
    const images = await Promise.all(
      CLOTHING.map(async (file) => decoder.decode(readFileSync(file), config)),
    );
    const each = 3 * config.imageSize ** 2;
    const pixels = new Float32Array(images.length * each);
    for (const [i, image] of images.entries()) pixels.set(image, i * each);
    const full = await engine.embed(pixels, images.length, { level: top });
    const int8 = await engine.embed(pixels, images.length, { level: top, precision: 'int8' });
    const width = config.embeddingWidth;
    const rows = (all: Float32Array) => images.map((_, i) => all.subarray(i * width, (i + 1) * width));
    const [expected, found] = [rows(full), rows(int8)];
    const mean = found.reduce((sum, row, i) => sum + cosine(row, expected[i] ?? row), 0) / found.length;
    expect(found.length).toBeGreaterThanOrEqual(40);
    expect(mean).toBeGreaterThanOrEqual(FIDELITY);
    expect(mean).toBeLessThan(1);
    for (const index of [0, 17]) {
      const alone = await engine.embed(images[index] ?? pixels, 1, { level: top, precision: 'int8' });
      expect(alone).toEqual(found[index]);
    }
    // What it is compared with is the network as its authors published it, in double precision.
    const { tensors } = await readModel(folderFiles(folder));
    const literal = literalEmbedding(config, tensors, images[0] ?? pixels);
    expect(cosine(literal, expected[0] ?? [])).toBeGreaterThan(1 - 1e-6);
  }, 240_000);

  it('is served: the header says so, and so does the ladder', async () => {
    const server = await startServer({ store, port: 0, precision: 'int8' });
    try {
      await server.loaded();
      const [photo = ''] = CLOTHING;
      const post = await fetch(`${server.url}/v1/embed?normalize=false`, {
        method: 'POST',
        body: new Uint8Array(readFileSync(photo)),
        headers: { 'Content-Type': 'image/jpeg' },
      });
      expect(post.headers.get('Compute-Applied')).toMatch(/precision=int8/);
      expect(post.headers.get('Compute-Applied')).toMatch(/limited-by=none/);
      const { embedding } = (await post.json()) as { embedding: number[] }; // the documented answer
      const pixels = await sharpDecoder({ accuracy: 'fast' }).decode(readFileSync(photo), manifest.config);
      const expected = await engine.embed(pixels, 1, { level: top, precision: 'int8' });
      expect(Float32Array.from(embedding)).toEqual(expected);
      const { ladder } = (await (await fetch(`${server.url}/v1/models/real`)).json()) as {
        ladder: { precisions: Record<string, { fidelity: number; predicted_ms: number }> }[];
      };
      for (const level of ladder) {
        expect(Object.keys(level.precisions)).toEqual(['int8']);
        expect(level.precisions.int8?.predicted_ms).toBeGreaterThan(0);
      }
    } finally {
      await server.close();
    }
  });
});
