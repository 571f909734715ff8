import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { createRandom } from '../../src/pruning/data/random.ts';
import { quantile } from '../common/statistics.ts';

/** Of every request, ms. */
export const TARGET = 200;
const DEADLINE = 400;
/** An answer counts that comes this much after its target at most: timers and sockets are not the gateway's. */
export const WITHIN = 1.1;
/** Requests that are sent and not counted: connections, code and the latency profile warm up. */
const WARM_SECONDS = 4;

export type HttpPolicy = 'elastic' | 'always full' | 'always smallest';

export interface HttpResult {
  readonly policy: HttpPolicy;
  /** Requests a second. */
  readonly offered: number;
  /** Answers within 1.1 of their target, a second. */
  readonly goodput: number;
  readonly answered: number;
  readonly refused: number;
  /** 99th percentile of answers, and median of refusals, ms at the client. */
  readonly p99: number;
  readonly refusalP50: number;
  /** Mean, of what was answered in time. */
  readonly fidelity: number;
}

export interface HttpServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts the gateway, on core 0 where there is `taskset`; this process goes to core 1. */
export async function startHttpServer(store: string, config?: string): Promise<HttpServer> {
  const script = join(import.meta.dirname, 'http-server.ts');
  const words = [script, store, ...(config === undefined ? [] : [config])];
  const child: ChildProcess = spawn('taskset', ['-c', '0', process.execPath, ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const own = spawn('taskset', ['-a', '-p', '-c', '1', String(process.pid)], { stdio: 'ignore' });
  await once(own, 'exit');
  const [line] = (await once(child.stdout ?? child, 'data')) as [Buffer];
  return {
    url: line.toString().trim(),
    async stop() {
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
    },
  };
}

interface Outcome {
  readonly status: number;
  /** From when it was due to be sent to the whole answer, ms. */
  readonly took: number;
  readonly fidelity: number;
}

/** One request; budgets and pictures as headers and body. */
export function send(
  url: string,
  agent: Agent,
  image: Uint8Array,
  headers: Readonly<Record<string, string>>,
): Promise<Outcome> {
  const began = performance.now();
  return new Promise((done, fail) => {
    const outgoing = request(
      `${url}/v1/embed`,
      {
        method: 'POST',
        agent,
        headers: { 'Content-Type': 'image/jpeg', Accept: 'application/octet-stream', ...headers },
      },
      (response) => {
        response.resume();
        response.once('end', () => {
          const applied = String(response.headers['compute-applied'] ?? '');
          done({
            status: response.statusCode ?? 0,
            took: performance.now() - began,
            fidelity: Number(/fidelity=([\d.]+)/.exec(applied)?.[1] ?? Number.NaN),
          });
        });
      },
    );
    outgoing.once('error', fail);
    outgoing.end(image);
  });
}

export interface HttpLoad {
  readonly policy: HttpPolicy;
  /** Requests a second. */
  readonly offered: number;
  readonly seconds: number;
  /** The last level's number. */
  readonly full: number;
}

/** Poisson arrivals of photographs, the same for every policy. */
export async function driveHttp(
  url: string,
  images: readonly Uint8Array[],
  { policy, offered, seconds, full }: HttpLoad,
): Promise<HttpResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: 512 });
  const generator = createRandom(42, 'arrivals');
  const random = () => generator.uniform();
  const level = policy === 'elastic' ? '' : `, level=${policy === 'always full' ? full : 0}`;
  const headers = { 'Compute-Budget': `latency=${TARGET}, deadline=${DEADLINE}${level}` };
  const start = performance.now();
  const end = 1000 * (seconds + WARM_SECONDS);
  const counted: Promise<Outcome>[] = [];
  for (let at = 0; at < end; at += (-Math.log(1 - random()) * 1000) / offered) {
    const wait = at - (performance.now() - start);
    if (wait > 0) await new Promise((done) => setTimeout(done, wait));
    const image = images[Math.floor(random() * images.length)] ?? new Uint8Array();
    const outcome = send(url, agent, image, headers);
    if (at >= 1000 * WARM_SECONDS) counted.push(outcome);
    else outcome.catch(() => {});
  }
  const outcomes = await Promise.all(counted);
  agent.destroy();
  const answers = outcomes.filter(({ status }) => status === 200);
  const refusals = outcomes.filter(({ status }) => status !== 200);
  const good = answers.filter(({ took }) => took <= WITHIN * TARGET);
  const times = (list: readonly Outcome[]) => list.map(({ took }) => took);
  return {
    policy,
    offered,
    goodput: good.length / seconds,
    answered: answers.length / outcomes.length,
    refused: refusals.length / outcomes.length,
    p99: quantile(times(answers), 0.99),
    refusalP50: refusals.length > 0 ? quantile(times(refusals), 0.5) : Number.NaN,
    fidelity: good.reduce((sum, { fidelity }) => sum + fidelity, 0) / Math.max(1, good.length),
  };
}
