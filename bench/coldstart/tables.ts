import { machine } from '../common/machine.ts';
import { median, spread } from '../common/statistics.ts';

/** One cold start, as it is kept. */
export interface Sample {
  readonly model: string;
  readonly link: string;
  readonly contestant: string;
  /** s from the start of the process. */
  readonly first: number;
  readonly all: number;
  readonly level: number;
  readonly bytes: number;
  /** The first answer is that of its level, and the level still gave the same bits when everything was loaded. */
  readonly correct: boolean;
  readonly same: boolean;
}

const LINK_NAMES: Readonly<Record<string, string>> = {
  fs: 'file system',
  loopback: 'RGW, loopback',
  '400': 'RGW, 400 Mbit/s',
  '50': 'RGW, 50 Mbit/s',
};

/** The page of results. */
export function coldStartTables(samples: readonly Sample[], { delayMs }: { delayMs: number }): string {
  const groups = Map.groupBy(samples, ({ model, link, contestant }) =>
    JSON.stringify([model, link, contestant]),
  );
  const rows = [...groups.values()].map((group) => row(group, samples));
  return `# Cold start

Made by \`npm run bench -- coldstart\`. ${machine()}
From the start of a \`concertina serve\` process (one engine worker, \`dist/\`) to the end of its first answer, which is compared with
another process's answer at that level. Contestants take turns; medians, and the distance between the quartiles over the median.
ViT-Ti has real weights where they are there, ViT-B random ones. The links are a TCP proxy with one token bucket in front of a Ceph
RADOS Gateway, ${delayMs} ms of delay on the shaped ones.

- **progressive**: the elastic checkpoint (ladder as \`best\` gives it on ViT-Ti, its corrections, two planes), ready at its smallest level.
- **whole file**: the same file and process, told by its tier's floor to be ready when all of it is loaded.
- **fixed, fp16**: a checkpoint of the full network alone, without a ladder: the fewest bytes that a fixed deployment reads.
- **warm cache**: progressive with \`--cache\`, on a machine that has served the model before.

| model | store | contestant | first answer, s | spread | to whole file | to fixed | at level | MB read by then | all levels, s | correct, same bits later |
|---|---|---|---|---|---|---|---|---|---|---|
${rows.join('\n')}
`;
}

function row(group: readonly Sample[], all: readonly Sample[]): string {
  const [one] = group;
  if (!one) return '';
  const of = (pick: (sample: Sample) => number) => median(group.map(pick));
  const first = of((sample) => sample.first);
  const against = (contestant: string) => {
    const peers = all.filter(
      (sample) => sample.model === one.model && sample.link === one.link && sample.contestant === contestant,
    );
    return peers.length > 0 ? (first / median(peers.map((sample) => sample.first))).toFixed(2) : '';
  };
  const good = group.every(({ correct, same }) => correct && same) ? 'yes' : '**no**';
  return `| ${[
    one.model,
    LINK_NAMES[one.link] ?? one.link,
    one.contestant,
    first.toFixed(2),
    spread(group.map((sample) => sample.first)).toFixed(2),
    `**${against('whole file')}**`,
    against('fixed, fp16'),
    String(one.level),
    (of(({ bytes }) => bytes) / 1e6).toFixed(1),
    of((sample) => sample.all).toFixed(2),
    good,
  ].join(' | ')} |`;
}
