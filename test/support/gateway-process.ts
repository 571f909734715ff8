import { spawn } from 'node:child_process';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore } from '../../src/storage/node.ts';
import { publishTiny } from './tiny-store.ts';
import { until } from './until.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');

export interface GatewayProcess {
  readonly url: string;
  readonly port: number;
  kill(signal: NodeJS.Signals): void;
  /** Exit code. */
  readonly exited: Promise<number | null>;
  /** Resident memory, bytes (Linux). */
  memory(): Promise<number>;
}

/** `concertina serve` in a process of its own, with the tiny model. */
export function startGatewayProcess(...flags: string[]): Promise<GatewayProcess> {
  return startGatewayOf({}, ...flags);
}

/** The same with another model. */
export async function startGatewayOf(
  content: Parameters<typeof publishTiny>[1],
  ...flags: string[]
): Promise<GatewayProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'concertina-'));
  await publishTiny(await openStore(folder), content);
  const words = [
    MAIN,
    'serve',
    '--store',
    folder,
    '--port',
    '0',
    '--workers',
    '1',
    '--log',
    'none',
    ...flags,
  ];
  // A small heap: what grows then is a leak, and not a heap that takes the room it is given.
  const child = spawn(process.execPath, ['--max-old-space-size=80', ...words]);
  let output = '';
  child.stderr.on('data', (data) => {
    output += data;
  });
  const exited = new Promise<number | null>((done) => child.once('exit', (code) => done(code)));
  await until(() => /at http:\S+/.test(output), 30_000);
  const url = /at (http:\S+)/.exec(output)?.[1] ?? '';
  return {
    url,
    port: Number(new URL(url).port),
    kill: (signal) => void child.kill(signal),
    exited,
    async memory() {
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
      return 1024 * Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]);
    },
  };
}
