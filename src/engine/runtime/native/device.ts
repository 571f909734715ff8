import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { GraphBuilder } from '../../../network/graph.ts';
import { Problem } from '../../../problem/index.ts';
import { floats, type SessionOptions } from '../../commands.ts';
import type { EngineWorker } from '../../worker-pool.ts';

export type Device = SessionOptions['device'];

/** What `auto` stands for: CUDA where its provider has been installed beside ONNX Runtime, otherwise the CPU. */
export function chooseDevice(wanted: Device | 'auto'): Device {
  if (wanted !== 'auto') return wanted;
  return cudaInstalled() ? 'cuda' : 'cpu';
}

/** The runtime lists CUDA as supported wherever it could be; only the provider's own file tells that it is there. */
export function cudaInstalled(): boolean {
  const entry = createRequire(import.meta.url).resolve('onnxruntime-node');
  const folder = join(dirname(entry), '..', 'bin', 'napi-v6', process.platform, process.arch);
  return existsSync(join(folder, 'libonnxruntime_providers_cuda.so'));
}

/** What a device needs beside the runtime. */
const NEEDS: Readonly<Record<Device, string>> = {
  cpu: '',
  cuda: 'It needs an NVIDIA GPU, CUDA 12 and cuDNN 9. ',
  webgpu: 'It needs a GPU with a Vulkan, Metal or Direct3D driver. ',
};

/**
 * Adds two numbers on the device.
 * @throws Problem('engine-unavailable') when that does not work
 */
export async function probeDevice(worker: EngineWorker, options: SessionOptions): Promise<void> {
  const g = new GraphBuilder();
  const input = g.input('x', 'float', [1]);
  g.output('sum', g.op('Add', [input, g.float(1)]), 'float', [1]);
  try {
    await worker.send({ kind: 'open', session: 'probe', ...g.encode(), options });
    const x = { type: 'float32', dims: [1], data: Float32Array.of(1) } as const;
    const sum = floats(await worker.run('probe', null, { x }), 'sum')[0];
    if (sum !== 2) throw new Error(`1 + 1 gave ${sum}`);
    await worker.send({ kind: 'close', session: 'probe' });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Problem(
      'engine-unavailable',
      `ONNX Runtime cannot use the device "${options.device}" here: ${reason.trim()} ${NEEDS[options.device]}Choose another with --device.`,
      { device: options.device },
      { cause },
    );
  }
}
