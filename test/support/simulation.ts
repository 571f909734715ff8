import type { Manifest } from '../../src/checkpoint/index.ts';
import type { ElasticModel } from '../../src/engine/index.ts';
import { Problem } from '../../src/problem/index.ts';
import { type Clock, ServedModel } from '../../src/serving/index.ts';
import { tinyConfig } from './tiny-vit.ts';

interface TimedEvent {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

/** Time that passes only when a test lets it. */
export class SimulatedClock implements Clock {
  #now = 0;
  #order = 0;
  readonly #events: TimedEvent[] = [];

  now(): number {
    return this.#now;
  }

  after(ms: number, callback: () => void): () => void {
    const event = { at: this.#now + Math.max(0, ms), order: this.#order++, callback };
    this.#events.push(event);
    return () => {
      const index = this.#events.indexOf(event);
      if (index >= 0) this.#events.splice(index, 1);
    };
  }

  /** Lets time pass without anything happening, as a blocked event loop does. */
  stall(ms: number): void {
    this.#now += ms;
  }

  /** Events that are more than so many ms away. */
  laterThan(ms: number): number {
    return this.#events.filter(({ at }) => at > this.#now + ms).length;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((done) => this.after(ms, done));
  }

  /** Lets everything happen until nothing is left to happen, or for so many ms. */
  async run(ms = Number.POSITIVE_INFINITY): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      // Everything that follows from the last event has to settle before time moves.
      await new Promise((done) => setImmediate(done));
      const [next] = this.#events.toSorted((a, b) => a.at - b.at || a.order - b.order);
      if (!next || next.at > until) {
        if (until !== Number.POSITIVE_INFINITY) this.#now = until;
        return;
      }
      this.#events.splice(this.#events.indexOf(next), 1);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
    }
  }
}

export interface SimulatedModelOptions {
  readonly clock: SimulatedClock;
  /** FLOP share, fidelity and time in ms of each level. */
  readonly levels: readonly (readonly [share: number, fidelity: number, ms: number])[];
  readonly workers?: number;
  /** Factor on the time of each run. @default 1 */
  readonly noise?: () => number;
  /** Runs wait for a worker, as in the engine's own pool; otherwise it is an error to ask for more. @default false */
  readonly queues?: boolean;
}

/** Levels that were run, in the order in which they were started, with the first pixel as a name. */
export interface SimulatedRun {
  readonly level: number;
  readonly name: number;
  readonly started: number;
}

/** A model without a network: its levels take the time that they are told to. */
export function simulatedModel(options: SimulatedModelOptions) {
  const { clock, levels, workers = 1, noise = () => 1, queues = false } = options;
  const runs: SimulatedRun[] = [];
  const waiting: (() => void)[] = [];
  let running = 0;
  const engine: ElasticModel = {
    config: tinyConfig(),
    variants: levels.map(() => ({ heads: [], channels: [], merge: [] })),
    precisions: ['fp32'],
    concurrency: workers,
    loaded: levels.length - 1,
    install: async () => {},
    async embed(pixels, _count, { level }) {
      const ms = levels[level]?.[2];
      if (ms === undefined) throw new Problem('level-not-loaded', `There is no level ${level}.`);
      if (queues && running === workers) await new Promise<void>((done) => waiting.push(done));
      else running++;
      if (running > workers) throw new Error('more runs at a time than there are workers');
      runs.push({ level, name: pixels[0] ?? -1, started: clock.now() });
      await clock.sleep(ms * noise());
      const next = waiting.shift();
      // The worker goes to whoever has waited longest.
      if (next) next();
      else running--;
      return Float32Array.of(pixels[0] ?? -1);
    },
    dispose: async () => {},
  };
  const ladder = levels.map(([share, fidelity]) => ({
    heads: [],
    channels: [],
    merge: [],
    flops: share * 1e9,
    share,
    params: 1,
    end: 1,
    memory: 1,
    fidelity: { fp32: { mean: fidelity, p5: fidelity } },
    corrections: [],
  }));
  const provenance = { source: { weights: 'simulated' } };
  const manifest = { config: engine.config, ladder, provenance } as unknown as Manifest; // all that a served model reads of it
  // Where runs wait the model measures itself, as a real one does.
  const profile = (queues ? [] : levels).map(([, , ms], level) => ({
    level,
    precision: 'fp32' as const,
    batch: 1,
    median: ms,
    p95: ms,
  }));
  const model = new ServedModel('simulated', 'digest', manifest, engine, clock, profile);
  return { model, runs };
}

/** Brings every level in. */
export async function loading(model: ServedModel): Promise<void> {
  async function* levels() {
    for (const level of model.ladder.keys())
      yield { level, shared: new Map(), increments: new Map(), corrections: new Map() };
  }
  await model.load(levels());
}

/** Brings every level in; takes simulated time. */
export async function loadSimulated(model: ServedModel, clock: SimulatedClock): Promise<void> {
  const loaded = loading(model);
  await clock.run();
  await loaded;
}
