import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { scaledTiers, TIERS_FILE } from '../../deploy/kubernetes/tiers.ts';
import { boundsOf, parseTiers } from '../../src/serving/index.ts';
import { Deployment, type Wanted } from './deployment.ts';
import { simulateFunctions } from './functions.ts';
import type { Inputs } from './inputs.ts';
import { KedaAutoscaler } from './keda.ts';
import { KnativeAutoscaler } from './knative.ts';
import { TargetTracking } from './lambda.ts';
import type { Outcome } from './outcome.ts';
import { type PodScaler, simulatePods } from './pods.ts';
import { arrivals, type Traffic } from './trace.ts';

export const PLATFORMS = ['Lambda', 'Knative', 'KEDA'] as const;
export type Platform = (typeof PLATFORMS)[number];
export const DEPLOYMENTS = ['elastic', 'fixed full'] as const;
/** Times the tier's concurrency target that pods are packed to: as configured, and as tight as an elastic deployment may bear. */
export const PACKINGS = [1, 3] as const;

/**
 * The day of each tier, and what its callers ask for, in times of the full network on an idle core. Rates are made up: a
 * service of some images per second.
 */
export const TIER_DAYS: Readonly<Record<string, { readonly traffic: Traffic; readonly wanted: Wanted }>> = {
  free: {
    traffic: { peak: 4, night: 0.1, peakHour: 19, bursts: [{ hour: 14, minutes: 10, factor: 6 }] },
    wanted: { latency: 6, deadline: 30 },
  },
  standard: {
    traffic: { peak: 12, night: 0.1, peakHour: 15, bursts: [{ hour: 11, minutes: 10, factor: 5 }] },
    wanted: { latency: 2.5, deadline: 15 },
  },
  premium: {
    traffic: { peak: 8, night: 0.25, peakHour: 13, bursts: [{ hour: 9, minutes: 10, factor: 4 }] },
    wanted: { latency: 1.5, deadline: 9 },
  },
};

/** s between two readings of the pods' metrics by Prometheus. */
const SCRAPE_SECONDS = 15;

const LambdaScalingSchema = z.looseObject({
  memoryMb: z.number(),
  reservedConcurrency: z.number().optional(),
  provisionedConcurrency: z.looseObject({ min: z.number(), max: z.number(), target: z.number() }).optional(),
  schedule: z.array(z.object({ cron: z.string(), min: z.number() })).default([]),
});

/** Which tiers there are: those of the file that every deployment is made from. */
export const tierNames = (): string[] => scaledTiers().map(({ name }) => name);

export interface Setting {
  readonly platform: Platform;
  readonly tier: string;
  readonly deployment: (typeof DEPLOYMENTS)[number];
  readonly packing: (typeof PACKINGS)[number];
}

/** Which days are simulated: a function has one request at a time, however it is packed. */
export function settings(tiers: readonly string[]): Setting[] {
  return PLATFORMS.flatMap((platform) =>
    tiers.flatMap((tier) =>
      PACKINGS.filter((packing) => platform !== 'Lambda' || packing === 1).flatMap((packing) =>
        DEPLOYMENTS.map((deployment) => ({ platform, tier, deployment, packing })),
      ),
    ),
  );
}

/** Arrivals of a tier's day: the same requests for every platform and deployment. */
const days = new Map<string, Float64Array>();

function dayOf(tier: string, traffic: Traffic, seed: number): Float64Array {
  const key = `${tier} ${seed}`;
  const times = days.get(key) ?? arrivals(traffic, seed);
  days.set(key, times);
  return times;
}

/** A day of a tier on a platform, by the platform's rule and the tier's settings in `deploy/tiers.yaml`. */
export function simulate(
  { platform, tier: tierName, deployment: name, packing }: Setting,
  inputs: Inputs,
  seed: number,
): Outcome {
  const tier = parseTiers(parse(readFileSync(TIERS_FILE, 'utf8')))[tierName];
  const scaled = scaledTiers().find((one) => one.name === tierName);
  const day = TIER_DAYS[tierName];
  if (!tier || !scaled || !day) throw new RangeError(`there is no tier ${tierName}`);
  const { traffic } = day;
  const full = inputs.levels.at(-1)?.median ?? Number.NaN;
  const wanted = { latency: day.wanted.latency * full, deadline: day.wanted.deadline * full };
  const bounds = boundsOf(tier, { latency: { value: wanted.latency, strict: false } });
  const deployment = new Deployment(name, inputs, { bounds, wanted, seed });
  const times = dayOf(tierName, traffic, seed);
  if (platform === 'Lambda') {
    const scaling = LambdaScalingSchema.parse(tier.scaling);
    const { memoryMb, reservedConcurrency: reserved, provisionedConcurrency: own, schedule } = scaling;
    const tracking =
      own &&
      new TargetTracking({
        target: own.target,
        scaleInCooldown: 300,
        bounds: (at) => ({ min: scheduledMinimum(schedule, at) ?? own.min, max: own.max }),
      });
    const provisioned = own && tracking && { first: own.min, tracking };
    return simulateFunctions({ times, deployment, wanted, memoryMb, reserved, provisioned });
  }
  const { maxReplicas: max, memoryMb, cpuMillis } = scaled;
  const target = scaled.concurrencyTarget * packing;
  const min = platform === 'KEDA' ? Math.max(1, scaled.minReplicas) : scaled.minReplicas;
  const scaler = platform === 'KEDA' ? kedaScaler(target, min, max) : knativeScaler(target, min, max);
  return simulatePods({
    times,
    deployment,
    scaler,
    wanted,
    workers: Math.max(1, Math.floor(cpuMillis / 1000)),
    cores: cpuMillis / 1000,
    memoryMb,
    queue: tier.queue,
    pods: min,
    seed,
  });
}

/** The minimum of the scheduled action that came last, by the hour and minute of its cron expression (a weekday is simulated). */
export function scheduledMinimum(
  schedule: readonly { readonly cron: string; readonly min: number }[],
  at: number,
): number | undefined {
  const actions = schedule
    .map(({ cron, min }) => {
      const [minute = 0, hour = 0] = cron.split(' ').map(Number);
      return { at: hour * 3600 + minute * 60, min };
    })
    .sort((a, b) => a.at - b.at);
  // Before the day's first action that of the evening before still holds.
  return (actions.findLast((action) => action.at <= at) ?? actions.at(-1))?.min;
}

function knativeScaler(target: number, min: number, max: number): PodScaler {
  const autoscaler = new KnativeAutoscaler({ target, min, max, scaleDownDelay: 60 });
  return {
    every: 2,
    choices: 2,
    decide(now, { seconds }, { ready }) {
      for (const [index, value] of seconds.entries())
        autoscaler.observe(now - seconds.length + 1 + index, value);
      return autoscaler.decide(now, ready);
    },
  };
}

function kedaScaler(target: number, min: number, max: number): PodScaler {
  const autoscaler = new KedaAutoscaler({ threshold: target, min, max });
  let [scraped, at] = [0, Number.NEGATIVE_INFINITY];
  return {
    every: SCRAPE_SECONDS,
    choices: 1,
    decide(now, { present }, { all }) {
      // What Prometheus has is as old as its last reading.
      const known = at > Number.NEGATIVE_INFINITY ? scraped : present;
      [scraped, at] = [present, now];
      return autoscaler.decide(now, known, all);
    },
  };
}
