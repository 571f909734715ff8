import { aimOf, type Budget, type Plan, plan } from '../budget/index.ts';
import type { Precision } from '../checkpoint/index.ts';
import { isProblem, Problem } from '../problem/index.ts';
import { ApartLane } from './apart-lane.ts';
import { expectedWait, sharedSlack } from './backlog.ts';
import type { Clock } from './clock.ts';
import type { DecodeWork } from './decode-work.ts';
import { embedOnceMore, HANG_MS } from './embed-once-more.ts';
import type { ServedModel } from './served-model.ts';
import { boundsOf, type Tier, type Tiers } from './tiers.ts';

/** The queue should drain within this many times the full network's own time; more than that is pressure. */
const DRAIN_FACTOR = 4;
/** Of so many requests of a tier that start one has no time term, if such wait: they are late for nothing, but do not wait for ever. */
const TURN_OF_UNTIMED = 4;
/** A prediction may be this much too short before a request is refused for it. */
const REFUSAL_MARGIN = 1.1;
/** Of a target that is no bound a request is accepted for so much: what the prediction and the machine waver by is left of it. */
const TARGET_SHARE = 0.85;

export interface EmbedRequest {
  readonly model: ServedModel;
  /** `[3, size, size]` float32, normalised; or what gives them when its turn comes. */
  readonly pixels: Float32Array | DecodeWork;
  readonly budget: Budget;
  readonly tier: string;
  /** When the request's first byte was seen, by the scheduler's clock, ms. Deadlines count from here. */
  readonly firstByte: number;
  /** When its body was complete. Latency counts from here: a slow upload is not the server's time. */
  readonly bodyComplete: number;
  /** Belongs to a request that was counted in with `enter`: taken though the gateway has begun to drain meanwhile. */
  readonly entered?: boolean;
  /** The request that the image belongs to, the same object for all of its images: they are no pressure on each other. */
  readonly batch?: object;
  readonly signal?: AbortSignal;
}

/** A request as far as admission looks at it. */
type Asking = Omit<EmbedRequest, 'pixels'>;

export interface EmbedAnswer {
  /** `[embeddingWidth]` float32, not normalised. */
  readonly embedding: Float32Array;
  readonly plan: Plan;
  /** Waiting for its turn, decoding, and in the engine, ms. */
  readonly queued: number;
  readonly decoded: number;
  readonly inferred: number;
}

export interface SchedulerOptions {
  /** Least time after which an engine worker counts as hung, ms. @default 10_000 */
  readonly hangMs?: number | undefined;
  /**
   * Images that may be decoded while every engine worker is busy: none where the engine computes on the same processor, one for each
   * core where it has a device of its own. @default 0
   */
  readonly decodeAhead?: number | undefined;
}

/** A request that was taken, and what it takes. */
interface Admitted {
  /** Its budget with what the tier adds to it. */
  readonly terms: Budget;
  /** Expected time of decoding, and with it that of the least level, ms. */
  readonly decodeMs: number;
  readonly work: number;
}

/** An image that has its turn. */
interface Running {
  /** When it should be done, ms on the clock. */
  until: number;
}

interface Waiting extends EmbedRequest, Admitted {
  readonly enqueued: number;
  /** When the answer should be out, ms on the clock; infinite without a time term. Orders the queue. */
  readonly due: number;
  /** When the answer becomes worthless. */
  readonly expires: number;
  resolve(answer: EmbedAnswer): void;
  reject(reason: unknown): void;
  release(): void;
}

interface TierState {
  readonly waiting: Waiting[];
  running: number;
  /** Requests with a time term that have started, one after the other, before one without that waited. */
  overtaken: number;
  /** Work received divided by weight: the tier with the least goes first. */
  virtual: number;
}

/**
 * Decides who runs next, and at which level. Earliest deadline first inside a tier, weighted fair between tiers; the
 * level is chosen when a worker is free, from the slack that is left then. A request that cannot be met even at its floor
 * is refused at once. There is no timer: arrivals and completions drive it.
 */
export class Scheduler {
  readonly #clock: Clock;
  readonly #hangMs: number;
  readonly #states = new Map<string, TierState>();
  #tiers: Tiers;
  readonly #running = new Set<Running>();
  readonly #apart: ApartLane;
  readonly #decodeAhead: number;
  #virtual = 0;
  #retries = 0;
  #entered = 0;
  #draining = false;
  #drained: (() => void) | undefined;

  constructor(tiers: Tiers, clock: Clock, { hangMs = HANG_MS, decodeAhead = 0 }: SchedulerOptions = {}) {
    this.#tiers = tiers;
    this.#clock = clock;
    this.#hangMs = hangMs;
    this.#decodeAhead = decodeAhead;
    this.#apart = new ApartLane(clock);
  }

  get tiers(): Tiers {
    return this.#tiers;
  }

  /** New limits; requests that wait keep their place. */
  set tiers(tiers: Tiers) {
    this.#tiers = tiers;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Images that were run once more because their worker died or hung. */
  get retries(): number {
    return this.#retries;
  }

  /** Images of a model that may have their turn at the same time. */
  width({ engine }: ServedModel): number {
    return engine.concurrency + this.#decodeAhead;
  }

  /** Requests of a tier that wait and run. */
  load(tier: string): { waiting: number; running: number } {
    const state = this.#states.get(tier);
    return { waiting: state?.waiting.length ?? 0, running: state?.running ?? 0 };
  }

  /**
   * @throws Problem('budget-unsatisfiable'), ('tier-saturated'), ('overloaded'), ('deadline-exceeded'), ('draining'),
   *   ('client-closed-request')
   */
  async embed(request: EmbedRequest): Promise<EmbedAnswer> {
    if (this.#draining && !request.entered) throw shuttingDown();
    if (request.signal?.aborted) throw gone();
    const decode = decodeOf(request.pixels);
    const admitted = this.#admit(request, decode);
    const { terms } = admitted;
    if (decode?.apart) return await this.#embedApart(request, decode, expiryOf(request, terms));
    const state = this.#state(request.tier);
    return await new Promise((resolve, reject) => {
      const abort = () => this.#drop(waiting, gone());
      const waiting: Waiting = {
        ...request,
        ...admitted,
        enqueued: this.#clock.now(),
        due: Math.min(
          request.bodyComplete + (terms.latency?.value ?? Number.POSITIVE_INFINITY),
          expiryOf(request, terms),
        ),
        expires: expiryOf(request, terms),
        resolve,
        reject,
        release: request.model.enter(),
      };
      request.signal?.addEventListener('abort', abort, { once: true });
      if (state.waiting.length === 0 && state.running === 0)
        state.virtual = Math.max(state.virtual, this.#virtual);
      insertByDue(state.waiting, waiting);
      this.#dispatch();
    });
  }

  /** What a request would be refused with if it came now; `undefined` if it would be taken. Changes nothing. */
  refusal(request: Asking): Problem | undefined {
    if (this.#draining) return shuttingDown();
    try {
      this.#admit(request);
      return undefined;
    } catch (error) {
      if (isProblem(error)) return error;
      throw error;
    }
  }

  /** @throws Problem for what the queue or the terms do not allow */
  #admit(request: Asking, decode?: DecodeWork): Admitted {
    const tier = this.#tierOf(request.tier);
    const { waiting } = this.#state(request.tier);
    if (waiting.length >= tier.queue) {
      throw new Problem(
        'tier-saturated',
        `${waiting.length} requests of the ${request.tier} tier are waiting already. Try again in a second.`,
        { retryAfter: 1, tier: request.tier },
      );
    }
    const terms = withDefaults(request.budget, tier);
    // Says now, not after waiting, that no level satisfies the terms.
    const decodeMs = decode?.predicted ?? 0;
    const floor = plan(terms, { ...this.#context(request, tier, 0, decodeMs), allowance: 0 });
    const work = decodeMs + floor.predicted;
    // Its turn comes when it has been decoded beside the others.
    if (!decode?.apart) this.#refuseHopeless(request, terms, work);
    return { terms, decodeMs, work };
  }

  /**
   * Counts in a request whose images follow, decoded one after the other: draining waits for all of them.
   * @returns what counts it out again, once
   * @throws Problem('draining')
   */
  enter(): () => void {
    if (this.#draining) throw shuttingDown();
    this.#entered++;
    return () => {
      this.#entered--;
      this.#tellDrained();
    };
  }

  /** Finishes what has been accepted and refuses the rest. */
  async drain(): Promise<void> {
    this.#draining = true;
    if (this.#idle()) return;
    await new Promise<void>((done) => {
      this.#drained = done;
    });
  }

  #idle(): boolean {
    return this.#entered + this.#running.size + this.#waiting() === 0;
  }

  #tellDrained(): void {
    if (this.#draining && this.#idle()) this.#drained?.();
  }

  /** Decodes what is too much for the gateway's own threads beside them, and goes on with the network's input. */
  async #embedApart(request: EmbedRequest, work: DecodeWork, expires: number): Promise<EmbedAnswer> {
    const { tier, signal } = request;
    const began = this.#clock.now();
    const { weight } = this.#tierOf(tier);
    const pixels = await this.#apart.decode({ work, tier, weight, expires, signal });
    const decoded = this.#clock.now() - began;
    return { ...(await this.embed({ ...request, pixels, entered: true })), decoded };
  }

  /**
   * What even the least level cannot keep behind those that go before: a deadline, a strict latency, and a latency whose request has a
   * deadline, too. That one may be refused, and accepted it would only make the next ones as late.
   * @param least what the request takes at its least, decoding included, ms
   */
  #refuseHopeless(request: Asking, terms: Budget, least: number): void {
    const { bodyComplete, model } = request;
    const expires = expiryOf(request, terms);
    const now = this.#clock.now();
    if (now >= expires) throw late(terms.deadline?.value ?? expires - bodyComplete);
    const due = Math.min(expires, bodyComplete + (terms.latency?.value ?? Number.POSITIVE_INFINITY));
    const bound = terms.latency?.strict ? due : expires;
    const target = terms.deadline && terms.latency ? due : Number.POSITIVE_INFINITY;
    if (Math.min(bound, target) === Number.POSITIVE_INFINITY) return;
    const workers = model.engine.concurrency;
    let remaining = 0;
    // A worker that is free begins at once.
    if (this.#running.size >= workers)
      for (const { until } of this.#running) remaining += Math.max(0, until - now);
    let own = { weight: 1, work: 0 };
    const others: { weight: number; work: number }[] = [];
    for (const [name, state] of this.#states) {
      const mine = name === request.tier;
      const waiting = othersThan(request.batch, state.waiting);
      const before = mine ? waiting.filter((other) => other.due <= due) : waiting;
      const tier = {
        weight: this.#tierOf(name).weight,
        work: before.reduce((sum, { work }) => sum + work, 0),
      };
      if (mine) own = tier;
      else others.push(tier);
    }
    const wait = expectedWait(own, others, { workers, remaining, least });
    const expected = now - bodyComplete + wait + least;
    const limit = Math.min(bound, target) - bodyComplete;
    // Where nobody waits a target may be missed: that is the caller's own business.
    const soft = wait > 0 ? (target - bodyComplete) * TARGET_SHARE : Number.POSITIVE_INFINITY;
    if (expected <= Math.min(soft, (bound - bodyComplete) * REFUSAL_MARGIN)) return;
    throw new Problem(
      'overloaded',
      `The request would take about ${Math.ceil(expected)} ms under the present load, even at its smallest level, more than the ${Math.round(limit)} ms it may take.`,
      { retryAfter: 1, expected: Math.ceil(expected) },
    );
  }

  #dispatch(): void {
    for (;;) {
      const next = this.#next();
      if (!next) break;
      void this.#run(next.name, next.waiting);
    }
    this.#tellDrained();
  }

  /** The next of the tier that has had the least of its share, if a worker is free; taken out of its queue. */
  #next(): { name: string; waiting: Waiting } | undefined {
    let chosen: { name: string; state: TierState; waiting: Waiting } | undefined;
    for (const [name, state] of this.#states) {
      const waiting = nextOf(state);
      if (!waiting || state.running >= this.#tierOf(name).concurrency) continue;
      if (this.#running.size >= this.width(waiting.model)) continue;
      if (!chosen || state.virtual < chosen.state.virtual) chosen = { name, state, waiting };
    }
    if (chosen) take(chosen.state, chosen.waiting);
    return chosen;
  }

  async #run(name: string, waiting: Waiting): Promise<void> {
    const state = this.#state(name);
    const tier = this.#tierOf(name);
    const now = this.#clock.now();
    if (now >= waiting.expires) {
      this.#settle(waiting, () => waiting.reject(late(waiting.expires - waiting.firstByte)));
      return;
    }
    let chosen: Plan;
    try {
      chosen = this.#plan(waiting, tier, now - waiting.enqueued, waiting.decodeMs);
    } catch (error) {
      this.#settle(waiting, () => waiting.reject(error));
      return;
    }
    this.#virtual = state.virtual;
    state.virtual += (waiting.decodeMs + chosen.predicted) / tier.weight;
    state.running++;
    const running: Running = { until: now + waiting.decodeMs + chosen.predicted };
    this.#running.add(running);
    const queued = now - waiting.enqueued;
    try {
      const { pixels } = waiting;
      let [input, ready] = [pixels, now];
      if (!(input instanceof Float32Array)) {
        input = await input.decode(waiting.signal);
        ready = this.#clock.now();
        // It may have taken longer or less long than expected, and somebody else may have come.
        chosen = this.#plan(waiting, tier, queued, 0);
        running.until = ready + chosen.predicted;
      }
      const { embedding, ms } = await embedOnceMore(waiting.model, this.#clock, {
        pixels: input,
        plan: chosen,
        hangMs: this.#hangMs,
        wanted: () => !waiting.signal?.aborted && this.#clock.now() < waiting.expires,
        retried: () => {
          this.#retries++;
        },
      });
      waiting.model.profile.observe(chosen.level, chosen.precision, 1, ms);
      const inferred = this.#clock.now() - ready;
      waiting.resolve({ embedding, plan: chosen, queued, decoded: ready - now, inferred });
    } catch (error) {
      waiting.reject(error);
    } finally {
      state.running--;
      this.#running.delete(running);
      waiting.release();
      this.#dispatch();
    }
  }

  /** @throws Problem('client-closed-request'), and what keeps an answer from being in time */
  #plan(waiting: Waiting, tier: Tier, waited: number, decodeMs: number): Plan {
    if (waiting.signal?.aborted) throw gone();
    const now = this.#clock.now();
    const chosen = plan(waiting.terms, this.#context(waiting, tier, waited, decodeMs));
    const crowded = [...this.#states.values()].some(
      (state) => othersThan(waiting.batch, state.waiting).length > 0,
    );
    checkTime(waiting, {
      done: now + decodeMs + chosen.predicted,
      elapsed: now - waiting.bodyComplete,
      crowded,
    });
    return chosen;
  }

  /** @param decodeMs of its time, still to be spent before the engine has it, ms */
  #context(request: Asking & Partial<Admitted>, tier: Tier, waited: number, decodeMs: number) {
    const { model } = request;
    const everybody = [...this.#states.values()].flatMap(({ waiting }) => othersThan(request.batch, waiting));
    const queued = everybody.length;
    const workers = model.engine.concurrency;
    const full = model.predict(model.ladder.length - 1, 'fp32');
    const rounds = Math.ceil(queued / workers);
    // With one round or less waiting there is no pressure, as long as those who wait have the time.
    const drained = rounds > 1 ? (DRAIN_FACTOR * full) / rounds : Number.POSITIVE_INFINITY;
    const spare = sharedSlack(everybody, this.#clock.now(), workers);
    const least = (request.work ?? 0) - (request.decodeMs ?? 0);
    const allowance = Math.min(drained, least + Math.max(0, spare));
    return {
      ladder: model.ladder,
      precisions: model.precisions,
      loaded: model.loaded,
      stopped: model.retry,
      predict: (level: number, precision: Precision) => model.predict(level, precision),
      upper: (level: number, precision: Precision) => model.upper(level, precision),
      uploaded: request.bodyComplete - request.firstByte,
      elapsed: this.#clock.now() - request.bodyComplete + decodeMs,
      waited,
      ...(allowance < Number.POSITIVE_INFINITY && { allowance }),
      tier: boundsOf(tier, request.budget, model.ceiling),
    };
  }

  /** Takes a request that has not been started out of its queue. */
  #drop(waiting: Waiting, reason: Problem): void {
    const state = this.#state(waiting.tier);
    const index = state.waiting.indexOf(waiting);
    if (index < 0) return;
    state.waiting.splice(index, 1);
    this.#settle(waiting, () => waiting.reject(reason));
    this.#dispatch();
  }

  #settle(waiting: Waiting, answer: () => void): void {
    waiting.release();
    answer();
  }

  #waiting(): number {
    let total = 0;
    for (const state of this.#states.values()) total += state.waiting.length;
    return total;
  }

  #tierOf(name: string): Tier {
    const tier = this.#tiers[name];
    // A tier that a reload removed still finishes its requests, with the limits of any other.
    const fallback = tier ?? Object.values(this.#tiers)[0];
    if (!fallback) throw new Problem('internal-error', 'There are no tiers.');
    return fallback;
  }

  #state(name: string): TierState {
    const state = this.#states.get(name) ?? { waiting: [], running: 0, overtaken: 0, virtual: this.#virtual };
    this.#states.set(name, state);
    return state;
  }
}

/** Those that wait, without the images of a request. */
const othersThan = (batch: object | undefined, waiting: readonly Waiting[]): readonly Waiting[] =>
  batch ? waiting.filter((other) => other.batch !== batch) : waiting;

const untimed = ({ due }: Waiting): boolean => due === Number.POSITIVE_INFINITY;

/** The earliest due; now and then, where others have overtaken them, the first of those that are never due. */
function nextOf({ waiting, overtaken }: TierState): Waiting | undefined {
  const [first] = waiting;
  return overtaken >= TURN_OF_UNTIMED - 1 ? (waiting.find(untimed) ?? first) : first;
}

/** Takes one that starts out of its queue. */
function take(state: TierState, waiting: Waiting): void {
  state.waiting.splice(state.waiting.indexOf(waiting), 1);
  const last = state.waiting.at(-1);
  state.overtaken = last && untimed(last) && !untimed(waiting) ? state.overtaken + 1 : 0;
}

/** Earliest due first; the same due keeps the order of arrival. */
function insertByDue(queue: Waiting[], waiting: Waiting): void {
  let at = queue.length;
  while (at > 0 && (queue[at - 1]?.due ?? 0) > waiting.due) at--;
  queue.splice(at, 0, waiting);
}

/** The tier's latency target is no term of the caller's: it does not change what they aim at. */
function withDefaults(budget: Budget, tier: Tier): Budget {
  const latency =
    budget.latency ?? (tier.latency === undefined ? undefined : { value: tier.latency, strict: false });
  return { ...budget, aim: aimOf(budget), ...(latency && { latency }) };
}

/** When the answer becomes worthless, on the clock; infinite without a deadline. */
function expiryOf({ firstByte }: Asking, { deadline }: Budget): number {
  return firstByte + (deadline?.value ?? Number.POSITIVE_INFINITY);
}

/**
 * At the moment of dispatch: an answer that will be worthless, or later than a strict target, is not computed.
 * @param done when the answer is expected, on the clock @param elapsed since the body was complete, ms
 * @throws Problem('deadline-exceeded'), ('overloaded')
 */
function checkTime(
  { terms, bodyComplete, expires, firstByte }: Waiting,
  { done, elapsed, crowded }: { readonly done: number; readonly elapsed: number; readonly crowded: boolean },
): void {
  const { latency, deadline } = terms;
  if (done > expires) throw late(expires - firstByte);
  // A late answer would make those behind it late as well: where there is a deadline, the request may be given up for them.
  const bound = latency?.strict || (deadline && crowded);
  if (latency && bound && done - bodyComplete > latency.value)
    throw new Problem(
      'overloaded',
      `After a wait of ${Math.round(elapsed)} ms nothing here answers within ${latency.value} ms. Try again in a second.`,
      { retryAfter: 1 },
    );
}

const shuttingDown = () =>
  new Problem('draining', 'This gateway is shutting down; send the request again.', { retryAfter: 1 });
const gone = () =>
  new Problem('client-closed-request', 'The caller went away before the request was started.');
const late = (ms: number) =>
  new Problem('deadline-exceeded', `The deadline of ${ms} ms passed before the request was started.`, {
    deadline: ms,
  });

const decodeOf = (pixels: EmbedRequest['pixels']): DecodeWork | undefined =>
  pixels instanceof Float32Array ? undefined : pixels;
