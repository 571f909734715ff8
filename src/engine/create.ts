import { isProblem, Problem } from '../problem/index.ts';
import type { TensorMap, VitConfig } from '../vit/index.ts';
import type { AnalysisModel, ElasticModel } from './engine.ts';
import {
  createOnnxAnalysis,
  createOnnxModel,
  cudaInstalled,
  type OnnxModelOptions,
} from './runtime/native/index.ts';
import { backendInstalled, createTfjsAnalysis, createTfjsModel } from './runtime/tfjs/index.ts';

const DEVICES = ['auto', 'cpu', 'webgpu', 'cuda'] as const;
/** Where a network runs. `auto`: a CUDA GPU where what it needs is installed, otherwise the CPU. */
export type Device = (typeof DEVICES)[number];

/** The options of every engine; threads and time limits are those of ONNX Runtime. */
export type ModelOptions = OnnxModelOptions;

export interface AnalysisOptions {
  readonly config: VitConfig;
  /** All canonical tensors. */
  readonly tensors: TensorMap;
  /** @default 'auto' */
  readonly device?: Device;
  /** Told, in a sentence, when `auto` found a GPU's packages but could not use them. */
  readonly onFallback?: (reason: string) => void;
}

/**
 * Starts the engine that serves on a device: ONNX Runtime, or TensorFlow.js for CUDA where only that is installed.
 * @throws Problem('engine-unavailable') when the device cannot be used
 */
export async function createModel(options: ModelOptions): Promise<ElasticModel> {
  if (options.device !== 'cuda' || cudaInstalled()) return await createOnnxModel(options);
  if (backendInstalled('cuda')) return await createTfjsModel({ ...options, backend: 'cuda' });
  throw new Problem(
    'engine-unavailable',
    'Nothing is installed that computes on "cuda". Install ONNX Runtime\'s provider for CUDA 12: ' +
      'node node_modules/onnxruntime-node/script/install.js --onnxruntime-node-install=cuda12. Or TensorFlow.js for CUDA 11 and ' +
      'cuDNN 8: npm install @tensorflow/tfjs-node-gpu@4. Or choose another device with --device.',
    { device: 'cuda' },
  );
}

/**
 * Opens a network for pruning on a device: TensorFlow.js on GPUs, ONNX Runtime on the CPU.
 * @throws Problem('engine-unavailable') with what to install, ('tensor-mismatch')
 */
export async function createAnalysis(options: AnalysisOptions): Promise<AnalysisModel> {
  const { device = 'auto', onFallback = () => {}, config, tensors } = options;
  if (!DEVICES.includes(device)) {
    throw new Problem('engine-unavailable', `There is no device "${device}": use ${DEVICES.join(', ')}.`);
  }
  if (device === 'cuda' || device === 'webgpu') {
    return await createTfjsAnalysis({ config, tensors, backend: device });
  }
  if (device === 'auto' && backendInstalled('cuda')) {
    try {
      return await createTfjsAnalysis({ config, tensors, backend: 'cuda' });
    } catch (error) {
      if (!isProblem(error, 'engine-unavailable')) throw error;
      onFallback(`${error.message} The CPU is used instead.`);
    }
  }
  return await createOnnxAnalysis({ config, tensors });
}
