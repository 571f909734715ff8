import {
  type Dashboard,
  DashboardCursorSync,
  type Panel,
  type RowPanel,
  VariableRefresh,
} from '@grafana/schema';
import { DATASOURCE, lines, number, type Unplaced } from './panels.ts';

/** Every query keeps to what was chosen at the top of the dashboard. */
const TIER = 'tier=~"$tier", instance=~"$instance"';
const MODEL = 'model=~"$model", instance=~"$instance"';
const BOTH = 'model=~"$model", tier=~"$tier", instance=~"$instance"';
const HERE = 'instance=~"$instance"';

const rate = (metric: string, labels: string) => `rate(concertina_${metric}{${labels}}[$__rate_interval])`;
const share = (part: string, whole: string) => `${part} / ${whole}`;
const quantile = (q: number, metric: string, by: string, labels: string) =>
  `histogram_quantile(${q}, sum by (${['le', by].filter(Boolean).join(', ')}) (${rate(`${metric}_bucket`, labels)}))`;

const NOW = [
  number({
    title: 'Ready',
    description: 'Lowest level that any model has loaded on any gateway; -1 before the first.',
    unit: 'none',
    queries: [{ expr: `min(concertina_loaded_level{${MODEL}})`, legend: 'level' }],
    thresholds: { good: 1, bad: 0 },
  }),
  number({
    title: 'Images per second',
    description: 'Embedded images.',
    unit: 'short',
    queries: [{ expr: `sum(${rate('images_total', BOTH)})`, legend: 'images/s' }],
  }),
  number({
    title: 'Latency targets met',
    description: 'Share of the requests with a latency target that were answered within it.',
    unit: 'percentunit',
    max: 1,
    queries: [
      {
        expr: share(
          `sum(${rate('budgets_total', `met="true", ${TIER}`)})`,
          `sum(${rate('budgets_total', TIER)})`,
        ),
        legend: 'met',
      },
    ],
    thresholds: { good: 0.99, bad: 0.95 },
  }),
  number({
    title: 'Mean fidelity',
    description: 'What callers really got, as published for the levels that were run.',
    unit: 'none',
    queries: [
      {
        expr: share(`sum(${rate('fidelity_sum', BOTH)})`, `sum(${rate('fidelity_count', BOTH)})`),
        legend: 'fidelity',
      },
    ],
  }),
  number({
    title: 'Refused because of load',
    description: 'Share of the requests. Capacity is missing: more replicas, or a lower floor.',
    unit: 'percentunit',
    min: 0,
    queries: [
      {
        expr: share(
          `(sum(${rate('sheds_total', TIER)}) or vector(0))`,
          `sum(${rate('requests_total', `route=~"/v1/embed.*", ${TIER}`)})`,
        ),
        legend: 'refused',
      },
    ],
    thresholds: { good: 0.001, bad: 0.01 },
  }),
  number({
    title: 'Internal errors',
    description: 'Per second. Their cause is in the log, under the request id.',
    unit: 'reqps',
    min: 0,
    queries: [
      {
        expr: `sum(${rate('requests_total', `code="internal-error", ${TIER}`)}) or vector(0)`,
        legend: 'errors',
      },
    ],
    thresholds: { good: 0.001, bad: 0.1 },
  }),
];

const TRAFFIC = [
  lines({
    title: 'Requests by tier',
    description: 'Embedding requests, answered or refused.',
    unit: 'reqps',
    stacked: true,
    queries: [
      {
        expr: `sum by (tier) (${rate('requests_total', `route=~"/v1/embed.*", ${TIER}`)})`,
        legend: '{{tier}}',
      },
    ],
  }),
  lines({
    title: 'Problems by code',
    description:
      'Everything that was not answered with an embedding. docs/errors.md says what each code means.',
    unit: 'reqps',
    stacked: true,
    queries: [
      {
        expr: `sum by (code, status) (${rate('requests_total', `code!="none", ${TIER}`)})`,
        legend: '{{status}} {{code}}',
      },
    ],
  }),
  lines({
    title: 'Time of a request',
    description: 'From the first byte read to the answer made, upload included.',
    unit: 's',
    queries: [0.5, 0.95, 0.99].map((q) => ({
      expr: quantile(q, 'request_seconds', 'tier', `route=~"/v1/embed.*", ${TIER}`),
      legend: `{{tier}} p${100 * q}`,
    })),
  }),
];

const WORTH = [
  lines({
    title: 'Levels',
    description:
      'Which levels of the ladder were run. A mix that moves down is load, or callers who ask for less.',
    unit: 'short',
    stacked: true,
    queries: [
      {
        expr: `sum by (model, level, precision) (${rate('images_total', BOTH)})`,
        legend: '{{model}} {{level}} {{precision}}',
      },
    ],
  }),
  lines({
    title: 'What held images back',
    description:
      '`none`: the best there is. `pressure`: the queue. `loading`: a cold start. Others: what the caller or the tier asked for.',
    unit: 'short',
    stacked: true,
    queries: [{ expr: `sum by (limited_by) (${rate('images_total', BOTH)})`, legend: '{{limited_by}}' }],
  }),
  lines({
    title: 'Fidelity served',
    description: 'Mean, and what 95 of 100 images were at or above.',
    unit: 'none',
    max: 1,
    queries: [
      {
        expr: share(
          `sum by (tier) (${rate('fidelity_sum', BOTH)})`,
          `sum by (tier) (${rate('fidelity_count', BOTH)})`,
        ),
        legend: '{{tier}} mean',
      },
      { expr: quantile(0.05, 'fidelity', 'tier', BOTH), legend: '{{tier}} p5' },
    ],
  }),
];

const BUDGETS = [
  lines({
    title: 'Latency targets met by tier',
    description: 'Of the requests that had one.',
    unit: 'percentunit',
    max: 1,
    queries: [
      {
        expr: share(
          `sum by (tier) (${rate('budgets_total', `met="true", ${TIER}`)})`,
          `sum by (tier) (${rate('budgets_total', TIER)})`,
        ),
        legend: '{{tier}}',
      },
    ],
  }),
  lines({
    title: 'Targets missed, by what limited the request',
    description:
      '`pressure`: it waited. `latency`: nothing was fast enough. `none`: it was slower than predicted, or refused.',
    unit: 'reqps',
    stacked: true,
    queries: [
      {
        expr: `sum by (limited_by) (${rate('budgets_total', `met="false", ${TIER}`)})`,
        legend: '{{limited_by}}',
      },
    ],
  }),
  lines({
    title: 'Predicted and measured time in the engine',
    description:
      'Mean of each level. Lines that part mean a profile that is off: a noisy neighbour, a throttled processor.',
    unit: 's',
    queries: ['predicted', 'engine'].map((name) => ({
      expr: share(
        `sum by (model, level) (${rate(`${name}_seconds_total`, MODEL)})`,
        `sum by (model, level) (${rate('images_total', MODEL)})`,
      ),
      legend: `{{model}} {{level}} ${name === 'engine' ? 'measured' : name}`,
    })),
  }),
];

const QUEUE = [
  lines({
    title: 'Waiting',
    description: 'Images in the queue. Scale on this.',
    unit: 'short',
    min: 0,
    queries: [{ expr: `sum by (tier) (concertina_waiting{${TIER}})`, legend: '{{tier}}' }],
  }),
  lines({
    title: 'Wait in the queue',
    description: 'Median and 95th percentile.',
    unit: 's',
    queries: [0.5, 0.95].map((q) => ({
      expr: quantile(q, 'phase_seconds', 'tier', `phase="queue", ${TIER}`),
      legend: `{{tier}} p${100 * q}`,
    })),
  }),
  lines({
    title: 'Lowered by pressure',
    description:
      'Share of the images that got less because others waited: the early sign. Add capacity before it grows.',
    unit: 'percentunit',
    min: 0,
    queries: [
      {
        expr: share(
          `sum by (tier) (${rate('degradations_total', TIER)})`,
          `sum by (tier) (${rate('images_total', TIER)})`,
        ),
        legend: '{{tier}}',
      },
    ],
  }),
  lines({
    title: 'Refused because of load',
    description: 'Capacity is missing.',
    unit: 'reqps',
    stacked: true,
    queries: [{ expr: `sum by (tier, code) (${rate('sheds_total', TIER)})`, legend: '{{tier}} {{code}}' }],
  }),
  lines({
    title: 'Time in the engine',
    description: 'Median and 95th percentile of one image.',
    unit: 's',
    queries: [0.5, 0.95].map((q) => ({
      expr: quantile(q, 'phase_seconds', 'tier', `phase="infer", ${TIER}`),
      legend: `{{tier}} p${100 * q}`,
    })),
  }),
  lines({
    title: 'Busy workers',
    description: 'Share of the engine workers of all gateways that compute. Plan for 70 %.',
    unit: 'percentunit',
    min: 0,
    max: 1,
    queries: [
      {
        expr: share(
          `sum by (model) (${rate('engine_seconds_total', MODEL)})`,
          `sum by (model) (concertina_workers{${MODEL}})`,
        ),
        legend: '{{model}}',
      },
    ],
  }),
];

const PROCESS = [
  lines({
    title: 'Other phases',
    description: '95th percentile of one image: fetching URLs, decoding.',
    unit: 's',
    queries: [
      {
        expr: quantile(0.95, 'phase_seconds', 'phase', `phase=~"fetch|decode", ${TIER}`),
        legend: '{{phase}}',
      },
    ],
  }),
  lines({
    title: 'Memory',
    description: 'Resident, and of that the JavaScript heap. Weights lie outside the heap, once per worker.',
    unit: 'bytes',
    min: 0,
    queries: [
      { expr: `process_resident_memory_bytes{${HERE}}`, legend: '{{instance}} resident' },
      { expr: `nodejs_heap_size_used_bytes{${HERE}}`, legend: '{{instance}} heap' },
    ],
  }),
  lines({
    title: 'Event loop and lost workers',
    description:
      'Delay of the main thread, and images that were run once more because their worker died or hung.',
    unit: 's',
    min: 0,
    queries: [
      { expr: `nodejs_eventloop_lag_p99_seconds{${HERE}}`, legend: '{{instance}} delay p99' },
      {
        expr: `rate(concertina_retries_total{${HERE}}[$__rate_interval])`,
        legend: '{{instance}} run again, 1/s',
      },
    ],
  }),
];

const ROWS = [
  ['Now', NOW],
  ['Traffic', TRAFFIC],
  ['What callers get', WORTH],
  ['Latency targets', BUDGETS],
  ['Queue and engine', QUEUE],
  ['Process', PROCESS],
] as const;

/** The dashboard of a gateway, for Grafana 10 and later. */
export function dashboard(): Dashboard {
  return {
    uid: 'concertina',
    title: 'Concertina',
    description: 'Budgets, levels, fidelity, queues and engines of the elastic inference gateway.',
    tags: ['concertina'],
    schemaVersion: 39,
    editable: true,
    graphTooltip: DashboardCursorSync.Crosshair,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    timezone: 'browser',
    templating: {
      list: [
        {
          name: 'datasource',
          label: 'Prometheus',
          type: 'datasource',
          query: 'prometheus',
          refresh: VariableRefresh.onDashboardLoad,
        },
        choice('instance', 'Gateway', 'concertina_loaded_level'),
        choice('model', 'Model', 'concertina_loaded_level'),
        choice('tier', 'Tier', 'concertina_waiting'),
      ],
    },
    annotations: { list: [] },
    panels: placed(ROWS),
  };
}

/** A variable over the values of a label; all of them at first. */
function choice(label: string, title: string, metric: string) {
  return {
    name: label,
    label: title,
    type: 'query',
    datasource: DATASOURCE,
    query: { query: `label_values(${metric}, ${label})`, refId: label },
    definition: `label_values(${metric}, ${label})`,
    refresh: VariableRefresh.onTimeRangeChanged,
    multi: true,
    includeAll: true,
    allValue: '.*',
    current: { text: 'All', value: '$__all' },
  } as const;
}

/** Rows below each other, panels from left to right in them. */
function placed(rows: readonly (readonly [string, readonly Unplaced[]])[]): (Panel | RowPanel)[] {
  const panels: (Panel | RowPanel)[] = [];
  let [id, y] = [1, 0];
  for (const [title, unplaced] of rows) {
    panels.push({
      type: 'row',
      id: id++,
      title,
      collapsed: false,
      gridPos: { x: 0, y, w: 24, h: 1 },
      panels: [],
    });
    y++;
    let [x, height] = [0, 0];
    for (const { size, ...panel } of unplaced) {
      if (x + size.w > 24) [x, y, height] = [0, y + height, 0];
      panels.push({ ...panel, id: id++, gridPos: { x, y, ...size } });
      x += size.w;
      height = Math.max(height, size.h);
    }
    y += height;
  }
  return panels;
}
