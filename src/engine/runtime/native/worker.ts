import { parentPort, workerData } from 'node:worker_threads';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { Executor } from '../../executor.ts';
import { OnnxRuntime } from '../onnx-runtime.ts';
import type { Reply, Request } from './messages.ts';
import { NativeCalls } from './native-calls.ts';

/** The thread that owns ONNX Runtime sessions: `session.run` blocks its thread, so it must not be the caller's. */

const runtime = new OnnxRuntime({
  InferenceSession,
  Tensor,
  sessionOptions: ({ provider, threads }) => ({
    executionProviders: provider === 'cpu' ? ['cpu'] : [provider, 'cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
    // Spinning threads take the cores from the workers beside this one.
    extra: { session: { intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } } },
  }),
});
const executor = new Executor(runtime);

const calls = new NativeCalls(workerData as SharedArrayBuffer); // worker-client.ts gives it
const port = parentPort;
if (!port) throw new Error('This file is the body of a worker thread.');

let queue = Promise.resolve();
port.on('message', (request: Request) => {
  queue = queue.then(() => answer(request));
});

async function answer({ id, command }: Request): Promise<void> {
  let reply: Reply;
  try {
    const outputs = await calls.make(() => executor.execute(command), process.exit);
    reply = { id, outputs };
  } catch (error) {
    reply = { id, error: error instanceof Error ? error.message : String(error) };
  }
  const buffers = 'outputs' in reply ? Object.values(reply.outputs ?? {}).map(({ data }) => data.buffer) : [];
  port?.postMessage(
    reply,
    buffers.filter((buffer) => buffer instanceof ArrayBuffer),
  );
}
