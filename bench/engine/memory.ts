import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openStore } from '../../src/storage/node.ts';
import { benchLadder } from '../common/ladder.ts';
import type { Network } from './networks.ts';
import { publish } from './publish.ts';

/** glibc gives back at once what it was asked for in pieces of this size; the deployments set it, and so does this for all contestants. */
const MMAP_THRESHOLD = '1048576';

const KINDS = ['static', 'fp32', 'int8', 'fp32,int8'] as const;

/** What a process keeps for a network: one static session, or a whole ladder. */
export interface Resident {
  readonly model: string;
  readonly kind: (typeof KINDS)[number];
  readonly bytes: number;
  /** Over the static fp32 session. */
  readonly ratio: number;
}

/** Serves the same checkpoint in every way, each in a process of its own. */
export async function measureMemory(network: Network): Promise<Resident[]> {
  const folder = await mkdtemp(join(tmpdir(), 'concertina-bench-'));
  try {
    const ladder = benchLadder(network.config, [0.25, 0.5, 0.75], [0.5, 0.75]);
    await publish(await openStore(folder), network, ladder);
    const bytes = new Map<string, number>();
    for (const kind of KINDS) {
      const script = join(import.meta.dirname, 'resident.ts');
      const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script, folder, kind], {
        env: { ...process.env, MALLOC_MMAP_THRESHOLD_: MMAP_THRESHOLD },
      });
      bytes.set(kind, Number(stdout));
    }
    const reference = bytes.get('static') ?? Number.NaN;
    return KINDS.map((kind) => {
      const own = bytes.get(kind) ?? Number.NaN;
      return { model: network.name, kind, bytes: own, ratio: own / reference };
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The figures as a Markdown table. */
export function memoryTable(lines: readonly Resident[]): string {
  const rows = lines.map(({ model, kind, bytes, ratio }) => {
    const what = kind === 'static' ? 'static fp32 session' : `whole ladder, ${kind.replace(',', ' and ')}`;
    return `| ${model} | ${what} | ${(bytes / 2 ** 20).toFixed(0)} MB | **${ratio.toFixed(2)}** |`;
  });
  return ['| model | resident | grows the process by | ratio |', '|---|---|---|---|', ...rows].join('\n');
}
