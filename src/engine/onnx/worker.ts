import { parentPort } from 'node:worker_threads';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Command, Outputs, PlainTensor, Reply, Request, SessionOptions } from './protocol.ts';

/** The thread that owns ONNX Runtime sessions: `session.run` blocks its thread, so it must not be the caller's. */

const arrays = new Map<string, Float32Array>();
const inputSets = new Map<string, Map<string, Tensor>>();
const sessions = new Map<string, InferenceSession>();

const port = parentPort;
if (!port) throw new Error('This file is the body of a worker thread.');

let queue = Promise.resolve();
port.on('message', (request: Request) => {
  queue = queue.then(() => answer(request));
});

async function answer({ id, command }: Request): Promise<void> {
  let reply: Reply;
  try {
    reply = { id, outputs: await execute(command) };
  } catch (error) {
    reply = { id, error: error instanceof Error ? error.message : String(error) };
  }
  const buffers = 'outputs' in reply ? Object.values(reply.outputs ?? {}).map(({ data }) => data.buffer) : [];
  port?.postMessage(
    reply,
    buffers.filter((buffer) => buffer instanceof ArrayBuffer),
  );
}

async function execute(command: Command): Promise<Outputs | null> {
  switch (command.kind) {
    case 'allocate':
      arrays.set(command.array, new Float32Array(command.length));
      return null;
    case 'write':
      known(arrays, command.array).set(command.data, command.at);
      return null;
    case 'gather':
      arrays.set(command.array, gather(known(arrays, command.from), command.rows, command.rowLength));
      return null;
    case 'forget':
      for (const array of command.arrays) arrays.delete(array);
      return null;
    case 'bind':
      inputSets.set(command.inputs, bind(command));
      return null;
    case 'unbind':
      inputSets.delete(command.inputs);
      return null;
    case 'open':
      sessions.set(command.session, await open(command));
      return null;
    case 'close':
      await sessions.get(command.session)?.release();
      sessions.delete(command.session);
      return null;
    case 'run':
      return run(command);
  }
}

function bind({ views, tensors }: Extract<Command, { kind: 'bind' }>): Map<string, Tensor> {
  const bound = new Map<string, Tensor>();
  for (const [name, { array, dims }] of Object.entries(views)) {
    const length = dims.reduce((product, dim) => product * dim, 1);
    bound.set(name, new Tensor('float32', known(arrays, array).subarray(0, length), dims));
  }
  for (const [name, tensor] of Object.entries(tensors)) bound.set(name, toTensor(tensor));
  return bound;
}

function open({
  model,
  externalData,
  options,
}: Extract<Command, { kind: 'open' }>): Promise<InferenceSession> {
  return InferenceSession.create(model, { ...sessionOptions(options), externalData: [...externalData] });
}

function sessionOptions({ device, threads }: SessionOptions): InferenceSession.SessionOptions {
  return {
    executionProviders: device === 'cpu' ? ['cpu'] : [device, 'cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
    // Spinning threads take the cores from the workers beside this one.
    extra: { session: { intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } } },
  };
}

async function run(command: Extract<Command, { kind: 'run' }>): Promise<Outputs> {
  const session = known(sessions, command.session);
  const bound = command.inputs === null ? undefined : known(inputSets, command.inputs);
  const feeds: Record<string, Tensor> = {};
  for (const name of session.inputNames) {
    const own = command.tensors[name];
    const tensor = own ? toTensor(own) : bound?.get(name);
    if (!tensor) throw new Error(`The input "${name}" of the session "${command.session}" was not given.`);
    feeds[name] = tensor;
  }
  const results = await session.run(feeds);
  const outputs: Record<string, PlainTensor> = {};
  for (const [name, tensor] of Object.entries(results)) {
    // The data of an output on the CPU is already a copy in JavaScript's memory, so its buffer can be transferred.
    const data = (await tensor.getData()) as PlainTensor['data']; // the graphs' outputs are float or integer tensors
    outputs[name] = { type: tensor.type as PlainTensor['type'], dims: tensor.dims, data };
  }
  return outputs;
}

function toTensor({ type, data, dims }: PlainTensor): Tensor {
  return new Tensor(type, data, dims);
}

function gather(from: Float32Array, rows: Int32Array, rowLength: number): Float32Array {
  const result = new Float32Array(rows.length * rowLength);
  rows.forEach((row, at) => {
    result.set(from.subarray(row * rowLength, (row + 1) * rowLength), at * rowLength);
  });
  return result;
}

function known<T>(map: ReadonlyMap<string, T>, key: string): T {
  const value = map.get(key);
  if (value === undefined) throw new Error(`The worker has not been given "${key}".`);
  return value;
}
