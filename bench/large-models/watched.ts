import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
const POLL_MS = 100;

/** A process of the command line whose memory is watched. */
export interface Watched {
  readonly child: ChildProcess;
  /** All that it has written on standard error. */
  text(): string;
  /** Largest resident size so far, bytes (Linux). */
  peak(): Promise<number>;
  /** Resolves with the peak when it has ended well. */
  readonly ended: Promise<number>;
}

/** Starts `concertina …`; it is stopped if it grows beyond `limitBytes`. */
export function watched(words: readonly string[], limitBytes: number): Watched {
  const child = spawn(process.execPath, [MAIN, ...words], { stdio: ['ignore', 'ignore', 'pipe'] });
  let [text, largest] = ['', 0];
  child.stderr.on('data', (data) => {
    text += String(data);
  });
  const peak = async () => {
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '');
    largest = Math.max(largest, 1024 * Number(/VmHWM:\s*(\d+)/.exec(status)?.[1] ?? 0));
    if (largest > limitBytes) child.kill('SIGKILL');
    return largest;
  };
  const timer = setInterval(peak, POLL_MS);
  const ended = new Promise<number>((done, fail) => {
    child.once('exit', (code, signal) => {
      clearInterval(timer);
      if (code === 0) return done(largest);
      const why =
        largest > limitBytes ? 'it grew beyond the limit' : `${signal ?? code}: ${text.slice(-500)}`;
      fail(new Error(`concertina ${words[0]} ended at ${(largest / 2 ** 30).toFixed(1)} GiB, ${why}`));
    });
  });
  ended.catch(() => {});
  return { child, text: () => text, peak, ended };
}
