import { describe, expect, it } from 'vitest';
import { createWebModel, memoryUse, RUNTIME_BYTES, webRuntime } from '../../src/engine/web/index.ts';
import { fullVariant, parameters } from '../../src/vit/index.ts';
import { levelWeights } from '../conformance/engine/ladder.ts';
import { tinyConfig, tinyPixels, tinyTensors } from '../support/tiny-vit.ts';
import { wasmModule } from '../support/wasm-module.ts';

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
});
