import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore } from '../../src/storage/node.ts';
import { machine } from '../common/machine.ts';
import { pruneNetwork } from '../common/served-network.ts';
import {
  driveHttp,
  type HttpPolicy,
  type HttpResult,
  startHttpServer,
  TARGET,
  WITHIN,
} from './http-drive.ts';

const POLICIES: readonly HttpPolicy[] = ['elastic', 'always full', 'always smallest'];
/** Requests a second; the first is about what the full network on one core serves. */
const OFFERED = [16, 32, 64] as const;
const PHOTOGRAPHS = join(import.meta.dirname, '../../../shared/data/images/calibration');
const SAMPLES = join(import.meta.dirname, '../../assets/sample-images');
/** What this project asks of itself, at twice and four times the first load. */
const ASKED = { smallest: 0.9, full: 2.2, best: 0.85, refusalMs: 5 } as const;

export interface HttpOptions {
  readonly seconds: number;
  readonly quick?: boolean | undefined;
  readonly json?: boolean | undefined;
  readonly out?: string | undefined;
  readonly store?: string | undefined;
}

/** Overload through HTTP. */
export async function overHttp({ seconds, quick, json, out, store }: HttpOptions): Promise<void> {
  const folder = store ?? (await mkdtemp(join(tmpdir(), 'concertina-overload-')));
  if (store === undefined) await pruneNetwork(await openStore(folder), quick ? 'quick' : 'best');
  const pictures = existsSync(PHOTOGRAPHS) ? PHOTOGRAPHS : SAMPLES;
  const names = (await readdir(pictures)).filter((name) => name.endsWith('.jpg')).slice(0, 100);
  const images = await Promise.all(names.map((name) => readFile(join(pictures, name))));
  const server = await startHttpServer(folder);
  const results: HttpResult[] = [];
  try {
    const answer = (await (await fetch(`${server.url}/v1/models`)).json()) as {
      data: { ladder: unknown[] }[];
    }; // the contract's shape
    const full = (answer.data[0]?.ladder.length ?? 1) - 1;
    for (const offered of OFFERED)
      for (const policy of POLICIES) {
        const result = await driveHttp(server.url, images, { policy, offered, seconds, full });
        results.push(result);
        process.stdout.write(json ? `${JSON.stringify(result)}\n` : `${row(result)}\n`);
      }
  } finally {
    await server.stop();
    if (store === undefined) await rm(folder, { recursive: true, force: true });
  }
  if (out === undefined) return;
  await mkdir(out, { recursive: true });
  await writeFile(join(out, 'overload-http.md'), markdown(results, seconds));
}

function markdown(results: readonly HttpResult[], seconds: number): string {
  return `# Overload through HTTP

Made by \`npm run bench -- overload --http --out bench/results\`. ${machine()}
The gateway on one core with one engine worker, its callers on another; photographs as JPEG, \`latency=${TARGET}, deadline=${2 * TARGET}\`; ${seconds} s of
open-loop Poisson arrivals, the same for every policy. Goodput: answers within ${WITHIN} of the target, a second, as the caller sees it.

${verdicts(results).join('\n')}

| offered, 1/s | policy | goodput, 1/s | answered | refused | p99 of answers, ms | p50 of refusals, ms | fidelity |
|---|---|---|---|---|---|---|---|
${results.map(row).join('\n')}
`;
}

function row({ offered, policy, goodput, answered, refused, p99, refusalP50, fidelity }: HttpResult): string {
  const percent = (share: number) => `${(100 * share).toFixed(0)} %`;
  const refusal = Number.isNaN(refusalP50) ? '–' : refusalP50.toFixed(1);
  return `| ${offered} | ${policy} | ${goodput.toFixed(1)} | ${percent(answered)} | ${percent(refused)} | ${p99.toFixed(0)} | ${refusal} | ${fidelity.toFixed(4)} |`;
}

/** What was asked for, and whether it was reached. */
function verdicts(results: readonly HttpResult[]): string[] {
  const find = (policy: HttpPolicy, offered: number) =>
    results.find((result) => result.policy === policy && result.offered === offered)?.goodput ?? Number.NaN;
  const [, twice, four] = OFFERED;
  const elastic = results.filter(({ policy }) => policy === 'elastic');
  const best = Math.max(...results.map(({ goodput }) => goodput));
  const met = (yes: boolean) => (yes ? 'met' : '**missed**');
  const line = (what: string, ratio: number, asked: number) =>
    `- ${what}: **${ratio.toFixed(2)}** (asked: at least ${asked}): ${met(ratio >= asked)}.`;
  const slowest = Math.max(...elastic.map(({ p99 }) => p99));
  const refusal = Math.max(
    ...elastic.map(({ refusalP50 }) => refusalP50).filter((ms) => !Number.isNaN(ms)),
    0,
  );
  return [
    line(
      `goodput at ${twice}/s to always smallest's`,
      find('elastic', twice) / find('always smallest', twice),
      ASKED.smallest,
    ),
    line(
      `goodput at ${twice}/s to always full's`,
      find('elastic', twice) / find('always full', twice),
      ASKED.full,
    ),
    line(
      `goodput at ${four}/s to the best of any policy at any load`,
      find('elastic', four) / best,
      ASKED.best,
    ),
    `- 99th percentile of answers at every load: **${slowest.toFixed(0)} ms** (asked: at most ${Math.round(WITHIN * TARGET)} ms): ${met(slowest <= WITHIN * TARGET)}.`,
    `- refusals, p50: **${refusal.toFixed(1)} ms** (asked: at most ${ASKED.refusalMs} ms): ${met(refusal <= ASKED.refusalMs)}.`,
  ];
}
