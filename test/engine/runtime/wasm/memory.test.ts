import { describe, expect, it } from 'vitest';
import {
  createWebModel,
  memoryUse,
  RUNTIME_BYTES,
  webRuntime,
} from '../../../../src/engine/runtime/wasm/index.ts';
import { fullVariant, parameters, type Variant, type VitConfig } from '../../../../src/vit/index.ts';
import { levelWeights } from '../../../conformance/engine/ladder.ts';
import { tinyConfig, tinyPixels, tinyTensors } from '../../../support/tiny-vit.ts';
import { wasmModule } from '../../../support/wasm-module.ts';

const wasm = await wasmModule('onnxruntime-web/ort-wasm-simd-threaded.wasm');

describe('what the engine in WebAssembly says that it takes', () => {
  it('is what its memory grows to, and not twice that', async () => {
    // About 11 million parameters over 197 tokens, like a small ViT.
    const config = tinyConfig({
      imageSize: 224,
      patchSize: 16,
      width: 384,
      embeddingWidth: 384,
      depth: 6,
      heads: 6,
      headDim: 64,
      channels: 1536,
    });
    const variant = fullVariant(config);
    const [increment] = levelWeights(config, tinyTensors(config), [{ variant, corrections: new Map() }]);
    const model = await createWebModel({ config, variants: [variant], wasm });
    await model.install(increment ?? expect.fail('there is one level'));
    for (let run = 0; run < 3; run++) await model.embed(tinyPixels(config, 1), 1, { level: 0 });
    const params = parameters(config, variant);
    const own = { flops: 1, share: 1, params, end: 1, memory: 4 * params, corrections: [] };
    const counts = { heads: [...variant.heads], channels: [...variant.channels], merge: [...variant.merge] };
    const level = { ...counts, ...own, fidelity: { fp32: { mean: 1, p5: 1 } } };
    const told = RUNTIME_BYTES + memoryUse(config, level).run;
    const measured = (await webRuntime(wasm)).heapBytes();
    expect(params).toBeGreaterThan(10e6);
    expect(measured).toBeLessThanOrEqual(told);
    expect(measured).toBeGreaterThan(told / 1.6);
    await model.dispose();
  });

  it('counts the dimensions of the heads that a level keeps, those of the block that keeps most', () => {
    const heads = tinyConfig();
    const dimensions = tinyConfig({ attentionUnits: 'dimensions' });
    const told = (config: VitConfig, kept: Partial<Variant>) => {
      const variant = { ...fullVariant(config), ...kept };
      const { channels, queries, values } = variant;
      const counts = {
        ...{ heads: [...variant.heads], channels: [...channels], merge: [...variant.merge] },
        ...(queries && values && { queries: [...queries], values: [...values] }),
      };
      const own = { flops: 1, share: 1, params: 1000, end: 1, memory: 4000, corrections: [] };
      return memoryUse(config, { ...counts, ...own, fidelity: { fp32: { mean: 1, p5: 1 } } }).run;
    };
    // 10 tokens; a token is 2 x 12 numbers of the stream and 12 normalised, 2 x 3 x 10 scores and 2 x 7 hidden.
    const bytes = (dimensionsOfToken: number) =>
      Math.ceil(1.2 * 4 * (1000 + 10 * (36 + dimensionsOfToken + 60 + 14)));
    expect(told(heads, {})).toBe(bytes(3 * (4 + 4 + 4 + 4)));
    expect(told(heads, { heads: [0, 3, 1] })).toBe(told(heads, {}));
    expect(told(dimensions, {})).toBe(told(heads, {}));
    expect(told(dimensions, { queries: [1, 2, 1], values: [3, 1, 1] })).toBe(bytes(3 * (2 + 2 + 3 + 3)));
  });
});
