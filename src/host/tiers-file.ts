import { readFile, stat } from 'node:fs/promises';
import { parse } from 'yaml';
import { isProblem, Problem } from '../problem/index.ts';
import { parseTiers, type Tiers } from '../serving/index.ts';

const POLL_MS = 2000;

/**
 * Reads a tiers configuration, YAML or JSON.
 * @throws Problem('invalid-settings')
 */
export async function readTiers(file: string): Promise<Tiers> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new Problem('invalid-settings', `The configuration ${file} cannot be read.`, { file }, { cause });
  }
  let config: unknown;
  try {
    config = parse(text, { maxAliasCount: 20 });
  } catch (cause) {
    const reason = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : '';
    throw new Problem('invalid-settings', `${file} is not YAML: ${reason}`, { file }, { cause });
  }
  return parseTiers(config);
}

/**
 * Reads the file again whenever it changes; a file with an error leaves the old tiers in place.
 * @param changed may refuse the new tiers with a Problem: that is an error of the file too
 * @returns what stops watching
 */
export function watchTiers(
  file: string,
  changed: (tiers: Tiers) => void,
  failed: (problem: Problem) => void,
  pollMs = POLL_MS,
): () => void {
  let seen: string | undefined;
  const look = async () => {
    const now = await stat(file).then(
      ({ mtimeMs, size, ino }) => `${mtimeMs}/${size}/${ino}`,
      () => 'gone',
    );
    if (seen === undefined || now === seen) {
      seen = now;
      return;
    }
    seen = now;
    try {
      changed(await readTiers(file));
    } catch (error) {
      if (isProblem(error)) failed(error);
      else throw error;
    }
  };
  const timer = setInterval(() => void look(), pollMs);
  timer.unref();
  void look();
  return () => clearInterval(timer);
}
