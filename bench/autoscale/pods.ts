import { createRandom } from '../../src/pruning/data/random.ts';
import type { Deployment, Wanted } from './deployment.ts';
import { Events } from './events.ts';
import { Outcome } from './outcome.ts';
import { podCost } from './prices.ts';
import { DAY_SECONDS } from './trace.ts';

/** s until the process of a new pod starts: scheduling on a node that has the image. Assumed, not measured. */
export const POD_START_SECONDS = 3;

interface Pod {
  /** When its process started, s. */
  readonly started: number;
  readonly born: number;
  ready: boolean;
  /** No new requests: it finishes what it has. */
  leaving: boolean;
  running: number;
  /** Arrival times, first come first served. */
  readonly waiting: number[];
}

/** What decides how many pods there are. */
export interface PodScaler {
  /** s between two decisions. */
  readonly every: number;
  /** How requests find a pod: one at random, or the less busy of two. */
  readonly choices: 1 | 2;
  /**
   * Pods that there should be.
   * @param second requests in work and waiting, on average in each second since the last decision
   * @param present them now @param pods ready ones and all
   */
  decide(
    now: number,
    load: { readonly seconds: readonly number[]; readonly present: number },
    pods: { readonly ready: number; readonly all: number },
  ): number;
}

export interface PodOptions {
  readonly times: Float64Array;
  readonly deployment: Deployment;
  readonly scaler: PodScaler;
  readonly wanted: Wanted;
  /** Engine workers of a pod, and what it asks for. */
  readonly workers: number;
  readonly cores: number;
  readonly memoryMb: number;
  /** Requests that may wait in a pod. */
  readonly queue: number;
  /** Pods at the start of the day. */
  readonly pods: number;
  readonly seed: number;
}

/** A day of a tier on pods behind a load balancer, each a gateway with its own queue. */
export function simulatePods(options: PodOptions): Outcome {
  const { times, deployment, scaler, wanted, workers, queue } = options;
  const outcome = new Outcome(wanted.latency);
  const random = createRandom(options.seed, 'pods');
  const events = new Events<() => void>();
  const pods: Pod[] = [];
  /** Requests that wait for the first pod of a service that sleeps. */
  const asleep: number[] = [];
  let [now, present, area, since] = [0, 0, 0, 0];
  const seconds: number[] = [];
  let arrived = 0;

  const pass = (to: number) => {
    area += present * (to - since);
    since = to;
    now = to;
  };
  const addPod = (start: number) => {
    const pod = { started: start, born: now, ready: false, leaving: false, running: 0, waiting: [] };
    pods.push(pod);
    events.add(start + deployment.ready, () => {
      pod.ready = true;
      for (const at of asleep.splice(0)) arrive(at);
    });
  };
  const remove = (pod: Pod) => {
    pods.splice(pods.indexOf(pod), 1);
    outcome.cost += podCost(options.cores, options.memoryMb, now - pod.born);
  };
  const finish = () => {
    present--;
  };
  const shed = () => {
    outcome.shed++;
    finish();
  };

  function arrive(at: number): void {
    const ready = pods.filter((pod) => pod.ready && !pod.leaving);
    if (ready.length === 0) {
      asleep.push(at);
      return;
    }
    const pick = () => ready[random.integer(ready.length)] ?? ready[0];
    let [pod, other] = [pick(), scaler.choices === 2 ? pick() : undefined];
    if (pod && other && other.running + other.waiting.length < pod.running + pod.waiting.length) pod = other;
    if (!pod) return;
    const ahead = Math.max(0, pod.running + pod.waiting.length - workers + 1);
    const expected = (now - at) * 1000 + (Math.ceil(ahead / workers) + 1) * deployment.floorMs;
    if (pod.waiting.length >= queue || expected > 1.1 * wanted.deadline) {
      shed();
      return;
    }
    pod.waiting.push(at);
    dispatch(pod);
  }

  function dispatch(pod: Pod): void {
    while (pod.running < workers) {
      const at = pod.waiting.shift();
      if (at === undefined) break;
      const elapsed = (now - at) * 1000;
      const rounds = Math.ceil(pod.waiting.length / workers);
      const served = deployment.serve(now - pod.started, { elapsed, waited: elapsed, rounds });
      if (!served) {
        shed();
        continue;
      }
      pod.running++;
      events.add(now + served.seconds, () => {
        pod.running--;
        finish();
        outcome.answered(at, now - at, served.fidelity);
        dispatch(pod);
      });
    }
    if (pod.leaving && pod.running + pod.waiting.length === 0 && pods.includes(pod)) remove(pod);
  }

  function decide(): void {
    const kept = pods.filter(({ leaving }) => !leaving);
    const ready = kept.filter((pod) => pod.ready).length;
    const load = { seconds: seconds.splice(0), present };
    const desired = scaler.decide(now, load, { ready, all: kept.length });
    for (let more = kept.length; more < desired; more++) addPod(now + POD_START_SECONDS);
    // The newest go first, as Kubernetes has it.
    for (const pod of kept.slice(Math.max(0, desired))) {
      pod.leaving = true;
      dispatch(pod);
    }
  }

  // The day begins with pods that have been there for long.
  for (let pod = 0; pod < options.pods; pod++) addPod(-3600);
  for (let second = 1; second <= DAY_SECONDS; second++) {
    for (;;) {
      const arrival = times[arrived] ?? Number.POSITIVE_INFINITY;
      const next = Math.min(events.next, arrival);
      if (next > second) break;
      pass(Math.max(now, next));
      if (events.next <= arrival) {
        events.take()?.();
      } else {
        arrived++;
        present++;
        arrive(arrival);
      }
    }
    pass(second);
    seconds.push(area);
    area = 0;
    outcome.sample(second - 0.5, pods.length);
    if (second % scaler.every === 0) decide();
  }
  outcome.shed += present;
  for (const pod of [...pods]) remove(pod);
  return outcome;
}
