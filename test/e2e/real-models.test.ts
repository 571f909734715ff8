import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LevelWeights, openCheckpoint } from '../../src/checkpoint/index.ts';
import { createModel } from '../../src/engine/index.ts';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { prune } from '../../src/pruning/index.ts';
import { memoryStore } from '../../src/storage/index.ts';
import type { TensorMap } from '../../src/vit/index.ts';
import { sharpDecoder } from '../../src/vit/node.ts';
import { literalEmbedding } from '../network/literal-vit.ts';
import { relativeError } from '../support/relative-error.ts';
import { AUGREG, DEIT, hasSharedData, SHARED_DATA } from '../support/shared-data.ts';

const PHOTOS = join(SHARED_DATA, 'images/calibration');

/** The formula of SnapViT's authors, written out for a plain ViT-Ti: 12 blocks, width 192, heads of 64, 197 tokens. */
function formula(heads: readonly number[], channels: readonly number[]): number {
  const [D, dh, T] = [192, 64, 197];
  let total = 2 * 196 * 768 * D;
  for (const [block, h] of heads.entries()) {
    const m = channels[block] ?? 0;
    total +=
      6 * D * dh * h * T + 2 * D * dh * h * T + 2 * h * dh * T ** 2 + 3 * h * T ** 2 + 2 * h * dh * T ** 2;
    total += 4 * D * m * T;
  }
  return total;
}

/** The network's tensors with what the levels so far have brought in their place: lower levels carry fewer digits. */
function asBrought(full: TensorMap, levels: readonly LevelWeights[]): TensorMap {
  const tensors = new Map([...full].map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]));
  const filled = new Map<string, number>();
  for (const { shared, increments } of levels) {
    for (const [name, { data }] of shared) tensors.get(name)?.data.set(data);
    for (const [name, { data }] of increments) {
      const at = filled.get(name) ?? 0;
      tensors.get(name)?.data.set(data, at);
      filled.set(name, at + data.length);
    }
  }
  for (const [name, { data }] of levels.at(-1)?.corrections ?? []) tensors.get(name)?.data.set(data);
  return tensors;
}

describe.skipIf(!hasSharedData).each([
  ['AugReg ViT-Ti', AUGREG],
  ['DeiT-Ti', DEIT],
])('%s, pruned from real weights and photographs (needs ../shared/data)', (_, folder) => {
  const store = memoryStore();
  let photo: Uint8Array<ArrayBuffer>;
  let server: RunningServer;

  beforeAll(async () => {
    const images = await mkdtemp(join(tmpdir(), 'concertina-photos-'));
    const names = readdirSync(PHOTOS).filter((name) => name.endsWith('.jpg'));
    for (const name of names.slice(0, 24)) await symlink(join(PHOTOS, name), join(images, name));
    photo = new Uint8Array(readFileSync(join(PHOTOS, names[30] ?? '')));
    const work = await mkdtemp(join(tmpdir(), 'concertina-work-'));
    await prune({
      model: folder,
      images,
      store,
      name: 'real',
      recipe: 'quick',
      levels: [0.5, 0.7, 1],
      work,
    });
    server = await startServer({ store, port: 0 });
    await server.loaded();
  });
  afterAll(() => server?.close());

  const embed = async (budget: string) => {
    const response = await fetch(`${server.url}/v1/embed?normalize=false`, {
      method: 'POST',
      body: photo,
      headers: { 'Content-Type': 'image/jpeg', ...(budget && { 'Compute-Budget': budget }) },
    });
    const applied = response.headers.get('Compute-Applied') ?? '';
    return {
      status: response.status,
      level: Number(/level=(\d+)/.exec(applied)?.[1]),
      flops: Number(/flops=([\d.]+)/.exec(applied)?.[1]),
      limitedBy: /limited-by=([\w-]+)/.exec(applied)?.[1],
      body: (await response.json()) as { embedding: number[]; nearest: Record<string, number> }, // one or the other
    };
  };

  it('runs the largest level within 70 % of the FLOPs, and says so', async () => {
    expect(await embed('flops=0.7')).toMatchObject({ status: 200, level: 1, limitedBy: 'flops' });
    expect((await embed('flops=0.7')).flops).toBeLessThanOrEqual(0.7);
    expect(await embed('')).toMatchObject({ level: 2, flops: 1, limitedBy: 'none' });
  });

  it('changes the level as the latency target changes', async () => {
    const { ladder } = (await (await fetch(`${server.url}/v1/models/real`)).json()) as {
      ladder: { precisions: Record<string, { predicted_ms: number }> }[];
    };
    // In int8 the full network may take less than half of what the smallest level takes in fp32: with AMX it does.
    const times = ladder.flatMap(({ precisions }) => Object.values(precisions));
    const fastest = Math.min(...times.map(({ predicted_ms }) => predicted_ms));
    const tight = await embed(`latency=${(fastest / 2).toFixed(3)}`);
    const loose = await embed('latency=10000');
    expect(tight.limitedBy).toBe('latency');
    expect(loose).toMatchObject({ level: 2, limitedBy: 'none' });
    expect(tight.level).toBeLessThan(loose.level);
  });

  it('answers 422 with the nearest feasible budget when FLOPs and fidelity contradict each other', async () => {
    const refused = await embed('flops=0.5, fidelity=0.999');
    expect(refused.status).toBe(422);
    expect(refused.body.nearest.flops).toBe(1);
  });

  // The last: the literal network holds this thread for seconds a level, and the server beside it would measure that.
  it('gives at every level what the full network gives with the removed units multiplied by zero', async () => {
    const { manifest, levels, tensors } = await openCheckpoint(store, 'real');
    const { config, ladder } = manifest;
    const engine = await createModel({ config, variants: ladder, workers: 1 });
    try {
      const brought: LevelWeights[] = [];
      for await (const weights of levels()) {
        brought.push(weights);
        await engine.install(weights);
      }
      const pixels = await sharpDecoder().decode(photo, config);
      const full = await tensors();
      for (const [level, variant] of ladder.entries()) {
        const found = await engine.embed(pixels, 1, { level });
        const weights = asBrought(full, brought.slice(0, level + 1));
        expect(relativeError(found, literalEmbedding(config, weights, pixels, variant))).toBeLessThan(1e-4);
        expect(variant.flops).toBe(formula(variant.heads, variant.channels));
      }
    } finally {
      await engine.dispose();
    }
  }, 240_000);
});
