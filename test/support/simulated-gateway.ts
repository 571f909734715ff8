import { createGateway, type Gateway, type GatewayOptions } from '../../src/gateway/index.ts';
import { DEFAULT_LIMITS } from '../../src/gateway/limits.ts';
import {
  ModelRegistry,
  RateLimiter,
  Scheduler,
  type ServedModel,
  type Tiers,
} from '../../src/serving/index.ts';
import {
  loadSimulated,
  type SimulatedClock,
  type SimulatedModelOptions,
  type SimulatedRun,
  simulatedModel,
} from './simulation.ts';

export interface SimulatedGateway {
  readonly app: Gateway;
  readonly scheduler: Scheduler;
  readonly registry: ModelRegistry;
  readonly model: ServedModel;
  /** What the engine was given, by the first byte of the picture. */
  readonly runs: readonly SimulatedRun[];
}

/** The application in simulated time: levels take the time that they are told to, and decoding `decodeMs`. */
export async function simulatedGateway(
  tiers: Tiers,
  network: SimulatedModelOptions,
  { decodeMs = 0, ...options }: { decodeMs?: number } & Partial<GatewayOptions> = {},
): Promise<SimulatedGateway> {
  const { clock } = network;
  const { model, runs } = simulatedModel(network);
  await loadSimulated(model, clock);
  runs.length = 0;
  const registry = new ModelRegistry();
  await registry.put(model);
  const scheduler = new Scheduler(tiers, clock);
  const app = createGateway({
    registry,
    scheduler,
    limiter: new RateLimiter(clock),
    decoder: {
      mediaTypes: ['image/png'],
      async decode(bytes) {
        if (decodeMs > 0) await clock.sleep(decodeMs);
        return Float32Array.of(bytes[0] ?? -1);
      },
    },
    clock,
    version: '0',
    ...options,
  });
  return { app, scheduler, registry, model, runs };
}

/**
 * Answers that come while simulated time passes. The application waits for bodies by real promises and for its network in
 * simulated time: both go on until every answer is here.
 */
export async function answersOf<T>(
  clock: SimulatedClock,
  answers: readonly (T | Promise<T>)[],
): Promise<T[]> {
  let open = true;
  const all = Promise.all(answers).finally(() => {
    open = false;
  });
  // Bodies are read before time moves: their time limit would be the next event otherwise.
  await settled(clock);
  while (open) {
    await clock.run(1);
    await settled(clock);
  }
  return await all;
}

/** Lets everything happen that takes no time: bodies are read, however many turns of the event loop that needs. */
export async function settled(clock: SimulatedClock): Promise<void> {
  const turn = () => new Promise((done) => setImmediate(done));
  await turn();
  // A body that is still being read has a time limit, which is far away.
  while (clock.laterThan(DEFAULT_LIMITS.bodyMs / 2) > 0) await turn();
  for (let turns = 0; turns < 20; turns++) await turn();
}
