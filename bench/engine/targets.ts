import type { Measurement } from '../common/race.ts';
import { STATIC_FULL } from './contestants.ts';
import type { Resident } from './memory.ts';

/** What a row of the targets is compared with. */
interface Target {
  readonly what: string;
  readonly limit: number;
  /** `most`: the measured figure must not be above the limit; `least`: not below. */
  readonly kind: 'most' | 'least';
  /** The measured figures; the worst one counts. */
  readonly figures: (from: Measured) => { readonly name: string; readonly value: number }[];
}

interface Measured {
  readonly lines: readonly Measurement[];
  readonly memory: readonly Resident[];
  /** The engine with its full network packed, or with all levels. */
  readonly engine: 'elastic' | 'elastic, all packed';
}

const single = (m: Measurement) => m.batch === 1 && m.threads === 1;
const figure = (m: Measurement, value = m.ratio) => ({ name: `${m.model}, ${m.level}`, value });
/** Ratios to the static fp32 session of the full network, one image and one thread. */
const toFull =
  (size: string, level: string, precision: string) =>
  ({ lines, engine }: Measured) =>
    lines
      .filter((m) => m.contestant === engine && m.peer === STATIC_FULL && single(m))
      .filter((m) => m.model.startsWith(size) && m.level === level && m.precision === precision)
      .map((m) => figure(m));

const resident =
  (kind: Resident['kind']) =>
  ({ memory, engine }: Measured) =>
    (engine === 'elastic' ? memory : [])
      .filter((one) => one.kind === kind)
      .map(({ model, ratio }) => ({ name: model, value: ratio }));

const TARGETS: readonly Target[] = [
  {
    what: 'full level, fp32, against the static session',
    limit: 1.03,
    kind: 'most',
    figures: toFull('', 'full', 'fp32'),
  },
  {
    what: 'any level, fp32, against a static session of exactly that network',
    limit: 1.08,
    kind: 'most',
    figures: ({ lines, engine }) =>
      lines
        .filter((m) => m.contestant === engine && m.precision === 'fp32' && single(m))
        .filter((m) => m.peer === `static fp32, ${m.level}`)
        .map((m) => figure(m)),
  },
  {
    what: 'full level, int8, ViT-B, against static fp32',
    limit: 0.35,
    kind: 'most',
    figures: toFull('ViT-B', 'full', 'int8'),
  },
  {
    what: 'full level, int8, ViT-S, against static fp32',
    limit: 0.44,
    kind: 'most',
    figures: toFull('ViT-S', 'full', 'int8'),
  },
  {
    what: '50 % by units, int8, ViT-B, against static fp32 of the full network',
    limit: 0.2,
    kind: 'most',
    figures: toFull('ViT-B', '50 % by units', 'int8'),
  },
  {
    what: '50 % by tokens, fp32, ViT-B, against static fp32 of the full network',
    limit: 0.54,
    kind: 'most',
    figures: toFull('ViT-B', '50 % by tokens', 'fp32'),
  },
  {
    what: '50 % by tokens, int8, ViT-B, against static fp32 of the full network',
    limit: 0.19,
    kind: 'most',
    figures: toFull('ViT-B', '50 % by tokens', 'int8'),
  },
  {
    what: 'whole ladder resident, fp32, against the static fp32 session',
    limit: 1.6,
    kind: 'most',
    figures: resident('fp32'),
  },
  {
    what: 'whole ladder resident, int8, against the static fp32 session',
    limit: 0.6,
    kind: 'most',
    figures: resident('int8'),
  },
  {
    what: 'HTTP request with a 500 x 375 JPEG against decode + engine alone, ViT-B',
    limit: 1.08,
    kind: 'most',
    figures: ({ lines, engine }) =>
      lines
        .filter((m) => engine === 'elastic' && m.contestant === 'HTTP' && m.model.startsWith('ViT-B'))
        .map((m) => figure(m)),
  },
  {
    what: 'two workers against one, throughput, ViT-S (idle machine)',
    limit: 1.8,
    kind: 'least',
    figures: ({ lines, engine }) =>
      lines
        .filter((m) => engine === 'elastic' && m.contestant === '2 workers' && m.model.startsWith('ViT-S'))
        .map((m) => figure(m, 1 / m.ratio)),
  },
];

/** The targets beside what was measured; the worst figure where a target is about several. */
export function targetTable(lines: readonly Measurement[], memory: readonly Resident[]): string {
  const rows = TARGETS.map((target) => {
    const { what, limit, kind } = target;
    const [full, all] = (['elastic', 'elastic, all packed'] as const).map((engine) =>
      cell(target, { lines, memory, engine }),
    );
    return `| ${what} | ${kind === 'most' ? '<=' : '>='} ${limit} | ${full || 'not measured'} | ${all} |`;
  });
  return ['| | target | `--packing full` | `--packing all` |', '|---|---|---|---|', ...rows].join('\n');
}

function cell({ limit, kind, figures }: Target, measured: Measured): string {
  const sign = kind === 'most' ? 1 : -1;
  const worst = figures(measured).toSorted((a, b) => sign * (b.value - a.value))[0];
  if (!worst) return '';
  const met = sign * worst.value <= sign * limit;
  return `${met ? '' : '**'}${worst.value.toFixed(3)}${met ? '' : '** (missed)'}, ${worst.name}`;
}
