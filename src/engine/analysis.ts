import { createHash } from 'node:crypto';
import {
  backwardGraph,
  checkLength,
  forwardGraph,
  type GraphBuilder,
  halfBlockGraph,
  keptUnits,
  mergeGraph,
  networkTensors,
  product,
  productGraph,
  structureKey,
  structureOf,
  tokensGraph,
} from '../network/index.ts';
import { Problem } from '../problem/index.ts';
import {
  contextUnits,
  fullVariant,
  keptOf,
  prefixTokens,
  type TensorMap,
  totalTokens,
  type UnitOrder,
  unitCount,
  type VitConfig,
} from '../vit/index.ts';
import {
  type ArrayView,
  asOwnView,
  floats,
  type Outputs,
  type PlainTensor,
  type SessionOptions,
} from './commands.ts';
import type {
  ActivationPlace,
  AnalysisModel,
  AnalysisVariant,
  GradientRequest,
  Gradients,
  LastLayerGradients,
  LastLayerRequest,
  MergedStream,
  MergeStreams,
} from './engine.ts';
import { GradientSum, LastLayerGradientSum } from './gradient-sum.ts';
import { mergeInput, sharedDims, unitDims } from './graph-inputs.ts';
import { shared, sharedFloats } from './shared-arrays.ts';
import type { EngineWorker, WorkerPool } from './worker-pool.ts';

export interface NetworkAnalysisOptions {
  readonly config: VitConfig;
  /** All canonical tensors. Copied once, into memory that all workers read. */
  readonly tensors: TensorMap;
  /** What runs the graphs; owned by the analysis from here on. */
  readonly pool: WorkerPool;
  readonly session: SessionOptions;
}

/**
 * Images that go through a graph together. Fixed, so that sums are made in the same order whatever the number of workers.
 */
const CHUNK = { forward: 8, backward: 4 } as const;
/** Arrangements of units, and sessions with what they have allocated, that are kept for the next call. */
const KEPT = { orders: 2, sessions: 8 } as const;
/** The same of a large network: memory is worth more than a second. */
const KEPT_OF_LARGE = { orders: 1, sessions: 1 } as const;
/** Numbers of a large network. */
const LARGE = 2.5e8;
/** A channel is one number of what `mlp.fc2` reads. */
const CHANNEL = { kind: 'channels', width: 1 } as const;

/** What one call needs of a worker. */
interface Call {
  /** Unique: names the set of inputs that is bound for this call. */
  readonly inputs: string;
  readonly session: string;
  readonly graph: () => GraphBuilder;
  readonly network: AnalysisVariant;
  readonly further?: Readonly<Record<string, PlainTensor>>;
}

/** One network in the graphs of `src/network`, on whatever workers carry out the commands. */
export class NetworkAnalysis implements AnalysisModel {
  readonly config: VitConfig;
  readonly #arrays: Map<string, Float32Array>;
  /** The unit tensors in the orders that were asked for last. */
  readonly #arranged = new Map<string, ReadonlyMap<string, Float32Array>>();
  readonly #table;
  readonly #pool: WorkerPool;
  readonly #session: SessionOptions;
  readonly #full: AnalysisVariant;
  readonly #kept: { readonly orders: number; readonly sessions: number };
  #calls = 0;

  constructor({ config, tensors, pool, session }: NetworkAnalysisOptions) {
    this.config = config;
    this.#table = networkTensors(config);
    const names = [...this.#table.shared.keys(), ...this.#table.units.map(({ name }) => name)];
    this.#arrays = new Map(
      names.map((name) => [name, shared(tensors.get(name)?.data ?? new Float32Array(0))]),
    );
    this.#session = session;
    this.#pool = pool;
    this.#full = { variant: fullVariant(config) };
    const size = [...this.#arrays.values()].reduce((sum, { length }) => sum + length, 0);
    this.#kept = size < LARGE ? KEPT : KEPT_OF_LARGE;
  }

  async embed(pixels: Float32Array, count: number, network = this.#full): Promise<Float32Array> {
    const structure = structureOf(this.config, network.variant);
    const call = this.#call(`forward ${structureKey(structure)}`, network, () =>
      forwardGraph(this.config, structure),
    );
    const chunks = this.#chunks({ pixels: this.#pixelBatch(pixels, count) }, count, CHUNK.forward, call);
    return this.#collect('embedding', chunks, count * this.config.embeddingWidth);
  }

  async embedTokens(pixels: Float32Array, count: number): Promise<Float32Array> {
    const call = this.#call('tokens', this.#full, () => tokensGraph(this.config));
    const chunks = this.#chunks({ pixels: this.#pixelBatch(pixels, count) }, count, CHUNK.forward, call);
    return this.#collect('tokens', chunks, count * totalTokens(this.config) * this.config.width);
  }

  async activations(
    stream: Float32Array,
    count: number,
    { block, part, layer = 'last', sizes }: ActivationPlace,
    network = this.#full,
  ): Promise<Float32Array> {
    const { config } = this;
    const tokens = count === 0 ? 0 : stream.length / count / config.width;
    checkLength('The residual stream', stream.length, count, Math.trunc(tokens) * config.width);
    const { kind, width } = part === 'attention' ? contextUnits(config) : CHANNEL;
    const features = layer === 'first' ? config.width : width * keptOf(config, network.variant, kind, block);
    if (features === 0) return new Float32Array(0);
    const sized = part === 'attention' && layer === 'last' && sizes !== undefined;
    if (sized) checkLength('The token sizes', sizes.length, count, tokens);
    const call = this.#call(`${layer} ${part} ${block}${sized ? ' sized' : ''}`, network, () =>
      halfBlockGraph(config, block, { part, layer, sized }),
    );
    const batches = {
      stream: { data: stream, dims: [tokens, config.width] },
      ...(sized && { sizes: { data: sizes, dims: [tokens] } }),
    };
    const chunks = this.#chunks(batches, count, CHUNK.forward, call);
    return this.#collect('activations', chunks, count * tokens * features);
  }

  async merge(
    { entering, stream, sizes }: MergeStreams,
    count: number,
    { block, removed }: { readonly block: number; readonly removed: number },
    network = this.#full,
  ): Promise<MergedStream> {
    const { config } = this;
    const { width } = config;
    const tokens = count === 0 ? 0 : Math.trunc(stream.length / count / width);
    checkLength('The residual stream', stream.length, count, tokens * width);
    checkLength('The residual stream that enters', entering.length, count, tokens * width);
    if (sizes) checkLength('The token sizes', sizes.length, count, tokens);
    checkMerge(config, keptOf(config, network.variant, 'heads', block), { block, tokens, removed });
    const left = tokens - removed;
    const merged = {
      stream: new Float32Array(count * left * width),
      sizes: new Float32Array(count * left),
      from: new Int32Array(count * removed),
      to: new Int32Array(count * removed),
      shares: new Float32Array(count * removed),
    };
    const sized = sizes !== undefined;
    const batches = {
      entering: { data: entering, dims: [tokens, width] },
      stream: { data: stream, dims: [tokens, width] },
      ...(sized && { sizes: { data: sizes, dims: [tokens] } }),
    };
    const further = {
      removed: { type: 'int64', dims: [1], data: BigInt64Array.of(BigInt(removed)) },
    } as const;
    const graph = () => mergeGraph(config, block, sized);
    const call = { ...this.#call(`merge ${block}${sized ? ' sized' : ''}`, network, graph), further };
    for await (const { first, outputs } of this.#chunks(batches, count, CHUNK.forward, call)) {
      merged.stream.set(floats(outputs, 'merged'), first * left * width);
      merged.sizes.set(floats(outputs, 'merged.sizes'), first * left);
      merged.from.set(floats(outputs, 'from'), first * removed);
      merged.to.set(floats(outputs, 'to'), first * removed);
      merged.shares.set(floats(outputs, 'share'), first * removed);
    }
    return merged;
  }

  product(
    a: Float32Array,
    b: Float32Array,
    { rows, inner, columns }: { readonly rows: number; readonly inner: number; readonly columns: number },
  ): Promise<Float32Array> {
    return this.#multiply('product', { data: a, dims: [rows, inner] }, { data: b, dims: [inner, columns] });
  }

  gram(
    a: Float32Array,
    b: Float32Array,
    { rows, left, right }: { readonly rows: number; readonly left: number; readonly right: number },
  ): Promise<Float32Array> {
    return this.#multiply('gram', { data: a, dims: [rows, left] }, { data: b, dims: [rows, right] });
  }

  /** Products have no weights: their sessions are kept beside those of the network. */
  async #multiply(kind: 'product' | 'gram', a: Batch, b: Batch): Promise<Float32Array> {
    const tensor = (name: string, { data, dims }: Batch) => {
      checkLength(`The matrix ${name}`, data.length, 1, product(dims));
      return { type: 'float32', dims, data: asOwnView(data) } as const;
    };
    const operands = { a: tensor('A', a), b: tensor('B', b) };
    return await this.#pool.use(async (worker) => {
      await worker.ensure(kind, () => this.#open(worker, kind, productGraph(kind)));
      return floats(await worker.run(kind, null, operands), 'y');
    });
  }

  async gradients(
    pixels: Float32Array,
    count: number,
    cotangents: Float32Array,
    wanted: GradientRequest,
  ): Promise<Gradients> {
    const { config } = this;
    const width = config.embeddingWidth;
    checkLength('The cotangents', cotangents.length, count, width);
    const { weights = false, gates = false, centre } = wanted;
    const kinds = { weights, gates, centred: gates && centre !== undefined };
    const further = kinds.centred && centre ? meanInputs(centre) : {};
    const name = `backward ${Number(weights)}${Number(gates)}${Number(kinds.centred)}`;
    const structure = structureOf(config, this.#full.variant);
    const call = { ...this.#call(name, this.#full, () => backwardGraph(config, kinds, structure)), further };
    const batches = {
      pixels: this.#pixelBatch(pixels, count),
      cotangents: { data: cotangents, dims: [width] },
    };
    const sum = new GradientSum(config, count, kinds);
    for await (const { first, outputs } of this.#chunks(batches, count, CHUNK.backward, call)) {
      sum.add(first, (name) => floats(outputs, name));
    }
    return sum.gradients;
  }

  async lastLayerGradients(
    pixels: Float32Array,
    count: number,
    cotangents: Float32Array,
    network: AnalysisVariant,
    wanted: LastLayerRequest,
  ): Promise<LastLayerGradients> {
    const { config } = this;
    const width = config.embeddingWidth;
    checkLength('The cotangents', cotangents.length, count, width);
    const structure = structureOf(config, network.variant);
    const lastLayers = wanted.weights ? 'weights' : 'biases';
    const call = this.#call(`${lastLayers} ${structureKey(structure)}`, network, () =>
      backwardGraph(config, { lastLayers }, structure),
    );
    const batches = {
      pixels: this.#pixelBatch(pixels, count),
      cotangents: { data: cotangents, dims: [width] },
    };
    const sum = new LastLayerGradientSum(config, network.variant, wanted);
    for await (const { outputs } of this.#chunks(batches, count, CHUNK.backward, call)) {
      sum.add((name) => floats(outputs, name));
    }
    return sum.gradients;
  }

  async dispose(): Promise<void> {
    await this.#pool.close();
    this.#arrays.clear();
    this.#arranged.clear();
  }

  #call(session: string, network: AnalysisVariant, graph: () => GraphBuilder): Call {
    return { inputs: `call ${this.#calls++}`, session, graph, network };
  }

  #pixelBatch(pixels: Float32Array, count: number): Batch {
    const dims = [3, this.config.imageSize, this.config.imageSize];
    checkLength('The pixel array', pixels.length, count, 3 * this.config.imageSize ** 2);
    return { data: pixels, dims };
  }

  /** Runs the images in chunks of fixed size on whichever workers are idle; yields in order. */
  async *#chunks(
    batches: Readonly<Record<string, Batch>>,
    count: number,
    size: number,
    call: Call,
  ): AsyncGenerator<{ first: number; outputs: Outputs }> {
    const running: { first: number; outputs: Promise<Outputs> }[] = [];
    for (let first = 0; first < count; first += size) {
      const images = Math.min(size, count - first);
      const outputs = this.#pool.use((worker) => this.#runOn(worker, call, cut(batches, first, images)));
      outputs.catch(() => {}); // it is awaited below, perhaps after another one has failed
      running.push({ first, outputs });
    }
    try {
      for (const { first, outputs } of running) yield { first, outputs: await outputs };
    } finally {
      await Promise.allSettled(running.map(({ outputs }) => outputs));
      await this.#forgetCall(call);
    }
  }

  async #collect(
    name: string,
    chunks: AsyncIterable<{ outputs: Outputs }>,
    length: number,
  ): Promise<Float32Array> {
    const result = new Float32Array(length);
    let at = 0;
    for await (const { outputs } of chunks) {
      const data = floats(outputs, name);
      result.set(data, at);
      at += data.length;
    }
    return result;
  }

  async #runOn(
    worker: EngineWorker,
    call: Call,
    tensors: Readonly<Record<string, PlainTensor>>,
  ): Promise<Outputs> {
    await this.#give(worker, call);
    const buffers = Object.values(tensors).map(({ data }) => data.buffer);
    return worker.run(call.session, call.inputs, tensors, buffers);
  }

  /** Sends what the worker does not have yet: weights, arrangement, session, inputs of the call. */
  async #give(worker: EngineWorker, call: Call): Promise<void> {
    await worker.ensure('weights', () => this.#giveWeights(worker));
    const prefix = call.network.units ? await this.#arrange(worker, call.network.units) : '';
    await this.#openSession(worker, call);
    await worker.ensure(`inputs ${call.inputs}`, async () => {
      await worker.send({ kind: 'bind', inputs: call.inputs, ...this.#inputsOf(call, prefix) });
    });
  }

  async #giveWeights(worker: EngineWorker): Promise<void> {
    for (const [array, data] of this.#arrays) await worker.send({ kind: 'share', array, data });
  }

  /** Gives a copy of the unit tensors in the given order. @returns the prefix of the copies' names */
  async #arrange(worker: EngineWorker, units: UnitOrder): Promise<string> {
    const key = `order ${orderDigest(units)}/`;
    const arranged = this.#inOrder(key, units);
    await worker.ensure(key, async () => {
      for (const [name, data] of arranged) await worker.send({ kind: 'share', array: key + name, data });
    });
    for (const old of worker.given('order ').slice(0, -this.#kept.orders)) {
      worker.lose(old);
      await worker.send({ kind: 'forget', arrays: this.#table.units.map(({ name }) => old + name) });
    }
    return key;
  }

  #inOrder(key: string, units: UnitOrder): ReadonlyMap<string, Float32Array> {
    const arranged = this.#arranged.get(key) ?? this.#gather(units);
    this.#arranged.delete(key);
    this.#arranged.set(key, arranged);
    for (const old of [...this.#arranged.keys()].slice(0, -this.#kept.orders)) this.#arranged.delete(old);
    return arranged;
  }

  #gather(units: UnitOrder): ReadonlyMap<string, Float32Array> {
    const arranged = new Map<string, Float32Array>();
    for (const { name, block, kind, rowLength } of this.#table.units) {
      const rows = units[kind]?.[block] ?? [];
      const from = this.#arrays.get(name) ?? new Float32Array(0);
      const data = sharedFloats(rows.length * rowLength);
      rows.forEach((row, at) => {
        data.set(from.subarray(row * rowLength, (row + 1) * rowLength), at * rowLength);
      });
      arranged.set(name, data);
    }
    return arranged;
  }

  async #openSession(worker: EngineWorker, { session, graph }: Call): Promise<void> {
    await worker.ensure(`session ${session}`, () => this.#open(worker, session, graph()));
    for (const old of worker.given('session ').slice(0, -this.#kept.sessions)) {
      worker.lose(old);
      await worker.send({ kind: 'close', session: old.slice('session '.length) });
    }
  }

  async #open(worker: EngineWorker, session: string, graph: GraphBuilder): Promise<void> {
    await worker.send({ kind: 'open', session, model: graph, options: this.#session });
  }

  #inputsOf(
    { network, further }: Call,
    prefix: string,
  ): { views: Record<string, ArrayView>; tensors: Record<string, PlainTensor> } {
    const { config } = this;
    const views: Record<string, ArrayView> = {};
    const tensors: Record<string, PlainTensor> = { ...further, merge: mergeInput(config, network.variant) };
    const take = (name: string, array: string, dims: number[]) => {
      const replaced = network.replaced?.get(name);
      if (!replaced) {
        views[name] = { array, dims };
        return;
      }
      checkLength(`The replaced "${name}"`, replaced.data.length, 1, product(dims));
      tensors[name] = { type: 'float32', dims, data: asOwnView(replaced.data) };
    };
    for (const unit of this.#table.units) {
      const count = keptUnits(unit, network.variant);
      const ordered = network.units?.[unit.kind]?.[unit.block]?.length ?? unitCount(config, unit.kind);
      if (count > ordered) throw tooManyUnits(unit.name, count, ordered);
      take(unit.name, prefix + unit.name, unitDims(config, unit, count));
    }
    for (const [name, shape] of this.#table.shared) take(name, name, sharedDims(name, shape));
    return { views, tensors };
  }

  async #forgetCall({ inputs }: Call): Promise<void> {
    for (const worker of this.#pool.workers) {
      if (!worker.alive || !worker.lose(`inputs ${inputs}`)) continue;
      await worker.send({ kind: 'unbind', inputs });
    }
  }
}

/** One array of images (or of what belongs to them) and the shape of one entry. */
interface Batch {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

function cut(
  batches: Readonly<Record<string, Batch>>,
  first: number,
  images: number,
): Record<string, PlainTensor> {
  return Object.fromEntries(
    Object.entries(batches).map(([name, { data, dims }]) => {
      const each = dims.reduce((product, dim) => product * dim, 1);
      const part = data.slice(first * each, (first + images) * each);
      return [name, { type: 'float32', dims: [images, ...dims], data: part } satisfies PlainTensor];
    }),
  );
}

function orderDigest({ heads, channels, queries = [], values = [] }: UnitOrder): string {
  const hash = createHash('sha256');
  for (const order of [...heads, ...channels, ...queries, ...values])
    hash.update(Int32Array.of(order.length, ...order));
  return hash.digest('hex').slice(0, 32);
}

/** @throws Problem('tensor-mismatch') unless so many tokens can merge */
function checkMerge(
  config: VitConfig,
  heads: number,
  { block, tokens, removed }: { readonly block: number; readonly tokens: number; readonly removed: number },
): void {
  const pairs = Math.ceil(tokens / 2) - Math.ceil(prefixTokens(config) / 2);
  const partners = Math.floor(tokens / 2) - Math.floor(prefixTokens(config) / 2);
  const most = heads > 0 && partners > 0 ? pairs : 0;
  if (!(Number.isInteger(removed) && removed >= 1 && removed <= most)) {
    throw new Problem(
      'tensor-mismatch',
      `Block ${block} can merge 1 to ${most} of ${tokens} tokens with ${heads} heads; ${removed} were asked for.`,
      { block, tokens, removed },
    );
  }
  if (config.rope && tokens !== totalTokens(config)) {
    throw new Problem(
      'tensor-mismatch',
      `Of a rotary network only all ${totalTokens(config)} tokens can merge: those that merged before keep positions that the stream does not tell.`,
      { block, tokens },
    );
  }
}

function meanInputs(centre: NonNullable<GradientRequest['centre']>): Record<string, PlainTensor> {
  const inputs: Record<string, PlainTensor> = {};
  for (const part of ['heads', 'channels'] as const) {
    for (const [block, data] of centre[part].entries()) {
      inputs[`means.${block}.${part}`] = { type: 'float32', dims: [data.length], data: asOwnView(data) };
    }
  }
  return inputs;
}

function tooManyUnits(name: string, count: number, available: number): Problem {
  return new Problem(
    'tensor-mismatch',
    `The variant keeps ${count} units of "${name}"; there are ${available}.`,
    {
      tensor: name,
    },
  );
}
