import { describe, expect, it } from 'vitest';
import { createAnalysis, createModel, createTfjsModel } from '../../../../src/engine/index.ts';
import { cudaInstalled } from '../../../../src/engine/runtime/native/index.ts';
import { backendInstalled, loadBackend } from '../../../../src/engine/runtime/tfjs/index.ts';
import { levelWeights, testLadder } from '../../../conformance/engine/ladder.ts';
import { tinyConfig, tinyPixels, tinyTensors } from '../../../support/tiny-vit.ts';

const config = tinyConfig({ imageSize: 16 });
const tensors = tinyTensors(config);
const levels = testLadder(config);
const variants = levels.map(({ variant }) => variant);

describe('the TensorFlow.js engine', () => {
  const unavailable = (install: string) =>
    expect.objectContaining({ code: 'engine-unavailable', message: expect.stringContaining(install) });

  it.skipIf(backendInstalled('cuda') || backendInstalled('webgpu')).each([
    ['cuda', 'npm install @tensorflow/tfjs-node-gpu@4'],
    ['webgpu', 'npm install @tensorflow/tfjs-core@4 webgpu @tensorflow/tfjs-backend-webgpu@4'],
  ] as const)('says what to install where %s is asked for and is not there', async (device, install) => {
    await expect(createAnalysis({ config, tensors, device })).rejects.toEqual(unavailable(install));
    await expect(createTfjsModel({ config, variants, backend: device })).rejects.toEqual(
      unavailable(install),
    );
  });

  it.skipIf(backendInstalled('cuda') || cudaInstalled())(
    'is one of two ways to serve on cuda, both of which are named where neither is there',
    async () => {
      const served = createModel({ config, variants, device: 'cuda' });
      await expect(served).rejects.toEqual(unavailable('--onnxruntime-node-install=cuda12'));
      await expect(served).rejects.toEqual(unavailable('npm install @tensorflow/tfjs-node-gpu@4'));
    },
  );

  it('leaves the CPU to ONNX Runtime where nothing else is installed', async () => {
    const notes: string[] = [];
    const analysis = await createAnalysis({ config, tensors, onFallback: (reason) => notes.push(reason) });
    const model = await createModel({ config, variants, workers: 1 });
    const pixels = tinyPixels(config, 1);
    for (const increment of levelWeights(config, tensors, levels)) await model.install(increment);
    const embedding = await analysis.embed(pixels, 1);
    expect(await model.embed(pixels, 1, { level: levels.length - 1 })).toEqual(embedding);
    expect(notes).toEqual([]);
    await Promise.all([analysis.dispose(), model.dispose()]);
  });

  describe('once it computes', () => {
    it('leaves no tensor behind when it is disposed of, whatever levels ran', async () => {
      const tf = await loadBackend('wasm');
      const before = tf.memory().numTensors;
      for (let cycle = 0; cycle < 2; cycle++) {
        const model = await createTfjsModel({ config, variants, backend: 'wasm' });
        for (const increment of levelWeights(config, tensors, levels)) {
          await model.install(increment);
          await model.embed(tinyPixels(config, 3), 3, { level: increment.level });
        }
        const grown = tf.memory().numTensors;
        for (const level of [0, 2, 2, 1, 3]) await model.embed(tinyPixels(config, 3), 3, { level });
        expect(tf.memory().numTensors).toBe(grown);
        await model.dispose();
        expect(tf.memory().numTensors).toBe(before);
      }
    });

    it('stays with its backend: another one is refused', async () => {
      await expect(loadBackend('cpu')).rejects.toEqual(unavailable('already computes with "wasm"'));
    });

    it('does not decide what happens to the faults of the process', () => {
      expect(process.listeners('uncaughtException').map(String).join()).not.toContain('ExitStatus');
    });
  });
});
