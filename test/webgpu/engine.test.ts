import { describe, it } from 'vitest';
import { createModel } from '../../src/engine/index.ts';
import { engineSuite } from '../conformance/engine/suite.ts';

/** Sums are made in another order on other numbers of rows. */
const BATCH_TOLERANCE = 1e-5;

if (process.env.VK_ICD_FILENAMES) {
  engineSuite(
    'ONNX Runtime (WebGPU)',
    (options) => createModel({ ...options, device: 'webgpu', workers: 1 }),
    { threads: false, batchTolerance: BATCH_TOLERANCE },
  );
} else {
  describe('the ONNX Runtime engine on WebGPU', () => {
    it.skip('needs Vulkan: Debian’s chromium brings one in software; or set VK_ICD_FILENAMES', () => {});
  });
}
