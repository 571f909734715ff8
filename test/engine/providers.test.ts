import { describe, expect, it } from 'vitest';
import { createAnalysis, createModel, DEVICES, type Device } from '../../src/engine/index.ts';
import { openDevice } from '../../src/engine/providers.ts';
import { cudaInstalled } from '../../src/engine/runtime/native/threads.ts';
import { installed } from '../../src/engine/runtime/packages.ts';
import { levelWeights, testLadder } from '../conformance/engine/ladder.ts';
import { relativeError } from '../support/relative-error.ts';
import { tinyConfig, tinyPixels, tinyTensors } from '../support/tiny-vit.ts';

const config = tinyConfig({ imageSize: 16 });
const tensors = tinyTensors(config);
const levels = testLadder(config);
const variants = levels.map(({ variant }) => variant);
const pixels = tinyPixels(config, 1);

const unavailable = (part: string) =>
  expect.objectContaining({ code: 'engine-unavailable', message: expect.stringContaining(part) });

/** Devices that lack packages here, with the command that installs them. */
const MISSING = (
  [
    ['cuda', cudaInstalled(), 'script/install.js --onnxruntime-node-install=cuda12'],
    [
      'tfjs-cuda',
      installed('@tensorflow/tfjs-node-gpu'),
      'npm install --save-prod @tensorflow/tfjs-node-gpu@4',
    ],
    ['tfjs-node', installed('@tensorflow/tfjs-node'), 'npm install --save-prod @tensorflow/tfjs-node@4'],
    [
      'tfjs-webgpu',
      installed('@tensorflow/tfjs-backend-webgpu'),
      'npm install --save-prod @tensorflow/tfjs-core@4 webgpu @tensorflow/tfjs-backend-webgpu@4',
    ],
  ] as const
).filter(([, there]) => !there);

describe('the table of devices', () => {
  it.each(MISSING)(
    'says what to install where %s is asked for and is not there',
    async (device, _, install) => {
      await expect(createAnalysis({ config, tensors, device })).rejects.toEqual(unavailable(install));
      await expect(createModel({ config, variants, device })).rejects.toEqual(unavailable(install));
      await expect(createModel({ config, variants, device })).rejects.toEqual(unavailable('--device'));
    },
  );

  it('names all devices where there is none of that name', async () => {
    const device = 'toaster' as Device; // from outside
    const refused = unavailable(DEVICES.join(', '));
    await expect(createAnalysis({ config, tensors, device })).rejects.toEqual(refused);
    await expect(createModel({ config, variants, device: 'constructor' as Device })).rejects.toMatchObject({
      code: 'engine-unavailable',
    });
  });

  it.skipIf(cudaInstalled() || installed('@tensorflow/tfjs-node-gpu'))(
    'takes the CPU for auto where nothing else is installed',
    async () => {
      const notes: string[] = [];
      const { device, pool } = await openDevice({ onFallback: (reason) => notes.push(reason) });
      await pool.close();
      expect([device, notes]).toEqual(['cpu', []]);
    },
  );

  it.each(['cpu', 'wasm', 'tfjs-wasm'] as const)(
    'gives one network on %s, pruning and serving',
    async (device) => {
      const reference = await createAnalysis({ config, tensors, device: 'cpu' });
      const expected = await reference.embed(pixels, 1);
      await reference.dispose();
      const analysis = await createAnalysis({ config, tensors, device });
      const model = await createModel({ config, variants, device });
      for (const increment of levelWeights(config, tensors, levels)) await model.install(increment);
      const served = await model.embed(pixels, 1, { level: levels.length - 1 });
      expect(relativeError(await analysis.embed(pixels, 1), expected)).toBeLessThan(1e-6);
      expect(relativeError(served, expected)).toBeLessThan(1e-6);
      await Promise.all([analysis.dispose(), model.dispose()]);
    },
  );

  it('refuses more workers than a device has, and a precision that it does not compute in', async () => {
    const device = 'tfjs-wasm';
    await expect(createModel({ config, variants, device, workers: 2 })).rejects.toEqual(
      unavailable('1 engine worker, and 2'),
    );
    await expect(createModel({ config, variants, device, precisions: ['int8'] })).rejects.toEqual(
      unavailable('--device cpu'),
    );
    const model = await createModel({ config, variants, device, precisions: ['fp32', 'int8'] });
    expect(model.precisions).toEqual(['fp32']);
    await model.dispose();
  });

  it('loads TensorFlow.js once per process: another backend of it is refused', async () => {
    await expect(createAnalysis({ config, tensors, device: 'tfjs-cpu' })).rejects.toEqual(
      unavailable('already computes with TensorFlow.js'),
    );
  });

  it('leaves the faults of the process to others', () => {
    expect(process.listeners('uncaughtException').map(String).join()).not.toContain('ExitStatus');
  });
});
