import { parentPort } from 'node:worker_threads';

/** The engine's worker, with a way to make it hang: on the message `hang` its thread stops for ever. */
parentPort?.on('message', (message: unknown) => {
  if (message === 'hang') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
});
await import('../../src/engine/runtime/native/worker.ts');
