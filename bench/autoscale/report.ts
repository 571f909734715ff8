import { figure } from '../common/line-plot.ts';
import { IDLE_SECONDS, SANDBOX_SECONDS } from './functions.ts';
import type { Inputs } from './inputs.ts';
import type { Outcome } from './outcome.ts';
import { DEPLOYMENTS, PLATFORMS, type Platform, type Setting, TIER_DAYS } from './platforms.ts';
import { POD_START_SECONDS } from './pods.ts';
import { onDemandCost, onProvisionedCost, PRICES, podCost, provisionedCost } from './prices.ts';

export interface Run extends Setting {
  readonly outcome: Outcome;
}

/** Memory at which Lambda gives one whole core, MB. */
const CORE_MB = 1769;
/** Share of the paid time in which something runs. */
const BUSY = 0.7;
/** What a pod with one worker asks for, MB. */
const POD_MB = 2048;

const percent = (share: number) => (100 * share).toFixed(share < 0.1 ? 2 : 1);

/** The page of results. */
export function autoscalePage(runs: readonly Run[], inputs: Inputs): string {
  const rows = runs.map(({ platform, tier, deployment, packing, outcome }) => {
    const { requests, shed, inTime, p50, p99, fidelity, replicas, most, cost, perMillion } = outcome.summary;
    return [
      platform,
      tier,
      deployment,
      platform === 'Lambda' ? '' : String(packing),
      (requests / 1000).toFixed(0),
      percent(shed),
      percent(inTime),
      p50.toFixed(0),
      p99.toFixed(0),
      fidelity.toFixed(3),
      replicas.toFixed(1),
      String(most),
      cost.toFixed(2),
      `**${perMillion.toFixed(2)}**`,
    ];
  });
  return `# Autoscaling, simulated

Made by \`npm run bench -- autoscale\`. A simulation, not a measurement: no cloud was used. A weekday of each tier of
\`deploy/tiers.yaml\` on each platform, the same arrivals for all, by the platform's scaling rule with the tier's settings; levels are
chosen by the gateway's own planner (\`src/budget\`).

- **Measured** (\`bench/autoscale/inputs.json\`, made by \`${inputs.command}\` on ${inputs.machine}): the times of the levels of
  a ${inputs.model}, one picture on one core, with their scatter; cold starts over ${inputs.coldStart.link}: ${inputs.coldStart.elastic.first.toFixed(1)} s to the first answer and
  ${inputs.coldStart.elastic.all.toFixed(1)} s to all levels (elastic), ${inputs.coldStart.fixed.first.toFixed(1)} s (the full network alone, fp16). Fidelities are those of the ladder of \`best\` on a real AugReg ViT-Ti.
- **Documented rules**: Lambda: one request per environment, 1,000 environments per function at the most, 429 beyond reserved
  concurrency; target tracking on the average utilization of provisioned concurrency, three minutes above the target to grow,
  fifteen below it to shrink. Knative: KPA, windows of 60 s and 6 s, panic at twice, target times 0.7, every 2 s, delay of 60 s
  before it shrinks. KEDA: the HorizontalPodAutoscaler on \`AverageValue\`, tolerance 0.1, every 15 s, at most four more pods or twice as
  many at a time, five minutes of stabilization. Each rule is tested against worked examples (\`test/bench/autoscale\`).
- **Assumed**, because nobody publishes it or it could not be measured here: ${SANDBOX_SECONDS} s until the process of a Lambda environment starts, idle
  ones gone after ${IDLE_SECONDS / 60} minutes; ${POD_START_SECONDS} s until the process of a pod starts (a node with room and with the image); that target tracking shrinks
  below 0.9 of its target; metrics that Prometheus reads every 15 s; the rates (${Object.entries(TIER_DAYS)
    .map(
      ([name, { traffic }]) =>
        `${name} ${traffic.peak} per second at its peak and ${traffic.bursts[0]?.factor} times its rate for ${traffic.bursts[0]?.minutes} minutes`,
    )
    .join(
      ', ',
    )}), and latency targets and deadlines, in times of the full network on an idle core (${Object.entries(
    TIER_DAYS,
  )
    .map(([name, { wanted }]) => `${name} ${wanted.latency} and ${wanted.deadline}`)
    .join(', ')}).
- **fixed full**: the same pods, functions, rules, queues and deadlines; one checkpoint without a ladder, so that every answer is the
  full network's, and a replica is ready when all of it is loaded.
- **packing**: times the tier's concurrency target at which the platform adds pods; 1 is the file's.

| platform | tier | deployment | packing | requests, thousand | shed, % | within the target, % | p50, ms | p99, ms | mean fidelity | replicas, mean | most | cost of the day, USD | USD per million answers |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
${rows.map((row) => `| ${row.join(' | ')} |`).join('\n')}

![Replicas of the standard tier over the day](autoscale-replicas.svg)

![99th percentile of the standard tier over the day](autoscale-latency.svg)

## A million embeddings, by level

Of the measured times, at list prices of ${PRICE_NOTE}. Lambda with ${CORE_MB} MB (one core);
provisioned concurrency and pods (one core, ${POD_MB} MB) busy ${percent(BUSY)} % of the time that is paid.

| FLOPs | fidelity | ms | Lambda on demand, USD | Lambda provisioned, USD | Fargate pods, USD |
|---|---|---|---|---|---|
${inputs.levels.map(levelRow).join('\n')}
`;
}

const PRICE_NOTE = `November 2026 (us-east-1, x86: Lambda ${PRICES.lambda.onDemand} per GB-s and ${(PRICES.lambda.request * 1e6).toFixed(2)} per million requests, provisioned
${PRICES.lambda.provisioned} and ${PRICES.lambda.onProvisioned} while it runs; Fargate ${PRICES.fargate.core} per core-hour and ${PRICES.fargate.gigabyte} per GB-hour). The providers' price pages could not be opened from
where this was made; the figures agree in dated secondary sources (Fargate March 2026, Lambda July 2026)`;

function levelRow({ share, fidelity, median }: Inputs['levels'][number]): string {
  const seconds = median / 1000;
  const million = 1e6;
  return `| ${[
    share.toFixed(2),
    fidelity.toFixed(3),
    median.toFixed(0),
    (million * onDemandCost(CORE_MB, seconds)).toFixed(2),
    (million * (onProvisionedCost(CORE_MB, seconds) + provisionedCost(CORE_MB, seconds / BUSY))).toFixed(2),
    (million * podCost(1, POD_MB, seconds / BUSY)).toFixed(2),
  ].join(' | ')} |`;
}

/** Replicas, or the 99th percentile, of a tier over the day: one panel per platform, pods packed as tightly as was tried. */
export function coursePlot(runs: readonly Run[], tier: string, what: 'replicas' | 'p99'): string {
  const shown = runs.filter((run) => run.tier === tier);
  const tightest = (platform: Platform) =>
    Math.max(...shown.filter((run) => run.platform === platform).map(({ packing }) => packing));
  return figure(
    PLATFORMS.map((platform) => [
      {
        title: `${platform}, ${tier} tier${tightest(platform) > 1 ? `, packing ${tightest(platform)}` : ''}`,
        x: 'hour',
        y: what === 'replicas' ? 'replicas' : 'p99, ms',
      },
      DEPLOYMENTS.map((name) => ({
        name,
        points: (
          shown.find(
            (run) =>
              run.platform === platform && run.deployment === name && run.packing === tightest(platform),
          )?.outcome.course ?? []
        ).map((point) => [point.hour, point[what]] as const),
      })),
    ]),
  );
}
