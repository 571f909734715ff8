import type { Deployment, Wanted } from './deployment.ts';
import { Events } from './events.ts';
import type { TargetTracking } from './lambda.ts';
import { Outcome } from './outcome.ts';
import { onDemandCost, onProvisionedCost, provisionedCost } from './prices.ts';
import { DAY_SECONDS } from './trace.ts';

/** s until the process of a new environment starts: a sandbox and the image's first blocks. Assumed, not measured. */
export const SANDBOX_SECONDS = 0.5;
/** s after which an idle environment is gone. AWS publishes no number; assumed. */
export const IDLE_SECONDS = 600;
/** Environments of a function without reserved concurrency: the account's default. */
const ACCOUNT_LIMIT = 1000;

interface Environment {
  readonly provisioned: boolean;
  /** s for which its process has run; it is frozen between invocations. */
  active: number;
  used: number;
  gone: boolean;
}

export interface FunctionOptions {
  readonly times: Float64Array;
  readonly deployment: Deployment;
  readonly wanted: Wanted;
  readonly memoryMb: number;
  readonly reserved: number | undefined;
  /** Provisioned environments at the start of the day, and what changes their number. */
  readonly provisioned: { readonly first: number; readonly tracking: TargetTracking } | undefined;
}

/** A day of a tier on a Lambda function: one request at a time in an environment, a new one where none is idle. */
export function simulateFunctions(options: FunctionOptions): Outcome {
  const { times, deployment, wanted, memoryMb, provisioned } = options;
  const limit = options.reserved ?? ACCOUNT_LIMIT;
  const outcome = new Outcome(wanted.latency);
  const events = new Events<() => void>();
  /** Idle environments; the one used last goes first. */
  const idle: Environment[] = [];
  let [now, busy, environments, warm] = [0, 0, 0, 0];
  /** Provisioned environments that there should be, and busy ones integrated over the minute. */
  let [wantedWarm, busyWarm, area, since] = [0, 0, 0, 0];

  const pass = (to: number) => {
    area += busyWarm * (to - since);
    since = to;
    now = to;
  };
  const start = (isProvisioned: boolean): Environment => {
    environments++;
    return { provisioned: isProvisioned, active: 0, used: now, gone: false };
  };
  const provision = (count: number) => {
    for (; warm < count; warm++) {
      const environment = start(true);
      events.add(now + SANDBOX_SECONDS + deployment.ready, () => {
        environment.active = deployment.ready;
        idle.push(environment);
        if (warm > wantedWarm) retire(environment);
      });
    }
    wantedWarm = count;
    for (const environment of idle.filter((one) => one.provisioned)) {
      if (warm <= wantedWarm) break;
      retire(environment);
    }
  };
  const retire = (environment: Environment) => {
    environment.gone = true;
    environments--;
    if (environment.provisioned) warm--;
    idle.splice(idle.indexOf(environment), 1);
  };

  function arrive(at: number): void {
    // Provisioned environments come first.
    const found = idle.findLastIndex((one) => one.provisioned);
    const index = found >= 0 ? found : idle.length - 1;
    let environment = idle[index];
    let init = 0;
    if (environment) idle.splice(index, 1);
    else {
      if (busy >= limit) {
        outcome.shed++;
        return;
      }
      environment = start(false);
      init = SANDBOX_SECONDS + deployment.ready;
      environment.active = deployment.ready;
    }
    const own = environment;
    busy++;
    if (own.provisioned) busyWarm++;
    const served = deployment.serve(own.active, { elapsed: init * 1000, waited: 0, rounds: 0 });
    const ran = served?.seconds ?? 0;
    events.add(now + init + ran, () => {
      busy--;
      if (own.provisioned) busyWarm--;
      own.active += ran;
      own.used = now;
      // Starting is billed as running is.
      outcome.cost += own.provisioned
        ? onProvisionedCost(memoryMb, ran)
        : onDemandCost(memoryMb, (init > 0 ? deployment.ready : 0) + ran);
      if (served) outcome.answered(at, now - at, served.fidelity);
      else outcome.shed++;
      idle.push(own);
      if (own.provisioned && warm > wantedWarm) retire(own);
      if (!own.provisioned) events.add(now + IDLE_SECONDS, () => forget(own));
    });
  }

  function forget(environment: Environment): void {
    if (!environment.gone && idle.includes(environment) && now - environment.used >= IDLE_SECONDS - 1e-6)
      retire(environment);
  }

  provision(provisioned?.first ?? 0);
  let arrived = 0;
  for (let second = 1; second <= DAY_SECONDS; second++) {
    for (;;) {
      const arrival = times[arrived] ?? Number.POSITIVE_INFINITY;
      const next = Math.min(events.next, arrival);
      if (next > second) break;
      pass(Math.max(now, next));
      if (events.next <= arrival) events.take()?.();
      else {
        arrived++;
        arrive(arrival);
      }
    }
    pass(second);
    outcome.sample(second - 0.5, environments);
    outcome.cost += provisionedCost(memoryMb, warm);
    if (provisioned && second % 60 === 0) {
      provision(provisioned.tracking.decide(now, warm > 0 ? area / 60 / warm : 1, warm));
      area = 0;
    }
  }
  outcome.shed += busy;
  return outcome;
}
