import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { figure } from '../common/line-plot.ts';
import { machine } from '../common/machine.ts';
import { median } from '../common/statistics.ts';
import { ARRIVALS, type Arrivals, LOADS, POLICIES, type Policy, type Result, TRAFFIC } from './drive.ts';

/** Goodput at twice the capacity, to that of the full network alone, that this project sets itself. */
const ASKED_RATIO = 1.8;

export interface Setting {
  /** Of each line of the table. */
  readonly seconds: number;
  /** The network. */
  readonly what: string;
}

/** Writes `overload.md` and a plot for each kind of arrivals. */
export async function publish(folder: string, results: readonly Result[], setting: Setting): Promise<void> {
  const find = (policy: Policy, arrivals: Arrivals, load: number): Result => {
    const found = results.find(
      (result) => result.policy === policy && result.arrivals === arrivals && result.load === load,
    );
    if (!found) throw new Error(`no result for ${policy}, ${arrivals}, ${load}`);
    return found;
  };
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'overload.md'), markdown(results, setting, find));
  for (const arrivals of ARRIVALS)
    await writeFile(join(folder, `overload-${arrivals}.svg`), plot(find, arrivals));
}

type Find = (policy: Policy, arrivals: Arrivals, load: number) => Result;

function markdown(results: readonly Result[], { seconds, what }: Setting, find: Find): string {
  const middle = (of: (result: Result) => number) => median(results.map(of));
  const capacities = results.map(({ capacity }) => capacity.perSecond);
  const targets = Object.entries(TRAFFIC).map(
    ([tier, { share, target }]) =>
      `${tier} ${100 * share} % of the traffic, ${(target * middle(({ capacity }) => capacity.fullMs)).toFixed(0)} ms`,
  );
  return `# Overload

Made by \`npm run bench -- overload\`. ${machine()}
${what}. With all workers busy the full network serves ${Math.min(...capacities).toFixed(0)} to ${Math.max(...capacities).toFixed(0)} images a second here,
measured before each load. Each line is ${seconds} s of open-loop arrivals at a multiple of that, the same arrivals for every
policy, through the scheduler and the engine. Latency targets: ${targets.join('; ')}.
Always full: the largest level in fp32; always smallest: the smallest, in either precision. Every policy drops what is past its target. Goodput: answers within their target, per second. Bursty: 1.8 and 0.2 times the
rate, half a second each, in turns. Other programs: their share of all cores meanwhile.

${verdicts(find).join('\n')}

${ARRIVALS.map((arrivals) => `![${arrivals} arrivals: answers in time, premium's, and their fidelity](overload-${arrivals}.svg)`).join('\n')}

| arrivals | load | policy | goodput, 1/s | to always full | in time | refused | fidelity | premium in time | premium p99 / target, ms | other programs |
|---|---|---|---|---|---|---|---|---|---|---|
${results.map((result) => row(result, find)).join('\n')}
`;
}

function row(result: Result, find: Find): string {
  const { arrivals, load, policy, goodput, inTime, refused, fidelity, premiumInTime, premiumTarget, others } =
    result;
  return `| ${[
    arrivals,
    `${load}x`,
    policy,
    goodput.toFixed(0),
    `**${(goodput / find('always full', arrivals, load).goodput).toFixed(2)}**`,
    percent(inTime),
    percent(refused),
    fidelity.toFixed(4),
    percent(premiumInTime),
    `${p99(result)} / ${premiumTarget.toFixed(1)}`,
    others === undefined ? 'unknown' : percent(others),
  ].join(' | ')} |`;
}

/** What was asked for, and whether it was reached. */
function verdicts(find: Find): string[] {
  return ARRIVALS.flatMap((arrivals) => {
    const ratio = find('elastic', arrivals, 2).goodput / find('always full', arrivals, 2).goodput;
    const most = find('always smallest', arrivals, 2).goodput / find('always full', arrivals, 2).goodput;
    const half = find('elastic', arrivals, 0.5).fidelity;
    const full = find('always full', arrivals, 0.5).fidelity;
    const within = LOADS.filter((load) => {
      const { premiumP99, premiumTarget } = find('elastic', arrivals, load);
      return premiumP99 <= premiumTarget;
    });
    const all = within.length === LOADS.length;
    return [
      `- ${arrivals}, goodput at 2x: **${ratio.toFixed(2)}** times always full's (asked: at least ${ASKED_RATIO}): ${met(ratio >= ASKED_RATIO)}. The smallest level alone gives ${most.toFixed(2)}.`,
      `- ${arrivals}, premium's 99th percentile within its target at ${within.map((load) => `${load}x`).join(', ') || 'no load'} (asked: at all): ${met(all)}.`,
      `- ${arrivals}, mean fidelity at 0.5x: ${half.toFixed(4)}, always full's ${full.toFixed(4)} (asked: the same): ${met(full - half < 5e-5)}.`,
    ];
  });
}

const met = (yes: boolean): string => (yes ? 'met' : '**missed**');
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const p99 = ({ premiumP99 }: Result): string =>
  premiumP99 === Number.POSITIVE_INFINITY ? 'refused' : premiumP99.toFixed(1);

function plot(find: Find, arrivals: Arrivals): string {
  const series = (pick: (result: Result) => number) =>
    POLICIES.map((policy) => ({
      name: policy,
      points: LOADS.map((load) => [load, pick(find(policy, arrivals, load))] as const),
    }));
  const x = "load, multiples of the full network's capacity";
  const name = `${arrivals.slice(0, 1).toUpperCase()}${arrivals.slice(1)}`;
  return figure([
    [{ title: `${name}: answers in time`, x, y: 'share', yMax: 1 }, series(({ inTime }) => inTime)],
    [
      { title: `${name}: premium in time`, x, y: 'share', yMax: 1 },
      series(({ premiumInTime }) => premiumInTime),
    ],
    [
      { title: `${name}: fidelity of answers in time`, x, y: 'mean fidelity', yMax: 1 },
      series(({ fidelity }) => fidelity),
    ],
  ]);
}
