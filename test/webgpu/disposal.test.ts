import { describe, expect, it } from 'vitest';
import { createModel, type ElasticModel } from '../../src/engine/index.ts';
import { levelWeights, testLadder } from '../conformance/engine/ladder.ts';
import { tinyConfig, tinyPixels, tinyTensors } from '../support/tiny-vit.ts';

const config = tinyConfig({ imageSize: 16 });
const levels = testLadder(config);
const increments = levelWeights(config, tinyTensors(config), levels);
const pixels = tinyPixels(config, 1);

async function start(): Promise<ElasticModel> {
  const variants = levels.map(({ variant }) => variant);
  const model = await createModel({ config, variants, device: 'webgpu', workers: 1 });
  for (const increment of increments) await model.install(increment);
  return model;
}

describe.skipIf(!process.env.VK_ICD_FILENAMES)('several ONNX Runtime engines on WebGPU', () => {
  it('are disposed of at the same time, and the process lives on', async () => {
    for (let round = 0; round < 4; round++) {
      const models: ElasticModel[] = [];
      for (let i = 0; i < 4; i++) models.push(await start());
      for (const model of models) expect(await model.embed(pixels, 1, { level: 0 })).toHaveLength(12);
      await Promise.all(models.map((model) => model.dispose()));
    }
  });
});
