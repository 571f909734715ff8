import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { publishCheckpoint } from '../../src/checkpoint/index.ts';
import { memoryStore } from '../../src/storage/index.ts';
import { fullVariant } from '../../src/vit/index.ts';
import { ladderBytes } from '../../tools/models-page/ladder-bytes.ts';
import { MODELS_PAGE, modelRows, modelsPage } from '../../tools/models-page/models-page.ts';
import { FIXTURE_FAMILIES } from '../support/family-fixtures.ts';
import { tinyConfig, tinyTensors } from '../support/tiny-vit.ts';

describe('the page of models', () => {
  it('is what its script makes', async () => {
    expect(readFileSync(MODELS_PAGE, 'utf8')).toBe(await modelsPage());
  });

  it('names tests that there are, and a golden network for every row', async () => {
    const page = readFileSync(MODELS_PAGE, 'utf8');
    const tests = [...page.matchAll(/`(test\/[\w/-]+\.test\.ts)`/g)].map(([, file]) => file ?? '');
    expect(tests.length).toBeGreaterThan(3);
    for (const file of tests) expect(existsSync(join(import.meta.dirname, '../..', file)), file).toBe(true);
    for (const { network, golden } of await modelRows()) {
      expect(golden, network.name).toBeDefined();
      expect(existsSync(join(FIXTURE_FAMILIES, golden ?? '', 'expected.json')), golden).toBe(true);
    }
  });

  it('counts the bytes of a ladder as a checkpoint with such levels has them', async () => {
    const config = tinyConfig({ classes: 5 });
    const order = (count: number) =>
      Array.from({ length: config.depth }, () => Array.from({ length: count }, (_, unit) => unit));
    const full = fullVariant(config);
    const fidelity = { fp32: { mean: 1, p5: 1 } };
    const half = { ...full, channels: full.channels.map(() => 3), fidelity };
    const digest = '0'.repeat(64);
    const { manifest } = await publishCheckpoint(memoryStore(), {
      model: 'tiny',
      config,
      tensors: tinyTensors(config),
      units: { heads: order(config.heads), channels: order(config.channels) },
      ranking: new Map(),
      keepFp32: [],
      levels: [half, { ...full, fidelity }],
      dtype: 'split',
      provenance: {
        tool: 'test',
        recipe: { name: 'test' },
        seed: 0,
        path: 'snapvit',
        source: { weights: digest, config: digest },
        images: { digest, used: 1, skipped: 0 },
      },
    });
    const last = manifest.ladder.at(-1);
    const { parameters, stored, memory } = ladderBytes(config);
    expect(memory).toBe(last?.memory);
    expect(stored).toBe((last?.end ?? 0) - manifest.weights.header);
    expect(parameters).toBe(last?.params);
  });
});
