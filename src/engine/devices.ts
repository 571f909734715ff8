/** Where a network can run; `providers.ts` says how. `auto`: an NVIDIA GPU where what it needs is installed, otherwise the CPU. */
export const DEVICES = [
  'auto',
  'cpu',
  'webgpu',
  'cuda',
  'wasm',
  'tfjs-cuda',
  'tfjs-node',
  'tfjs-webgpu',
  'tfjs-wasm',
  'tfjs-cpu',
] as const;
export type Device = (typeof DEVICES)[number];
