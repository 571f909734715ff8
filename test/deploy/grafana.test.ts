import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { DASHBOARD_FILE, dashboardText } from '../../deploy/grafana/render.ts';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { PROBLEMS } from '../../src/problem/index.ts';
import { embedAt } from '../support/embed-at.ts';
import { dataUri, picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';
import { busyConfig } from '../support/tiny-vit.ts';
import { until } from '../support/until.ts';
import { type Exposed, exposedMetrics } from './exposition.ts';
import { parsePromql } from './promql.ts';

const DEPLOY = join(import.meta.dirname, '../../deploy');
/** Added to every series by Prometheus when it scrapes. */
const TARGET_LABELS = ['instance', 'job'];

const DashboardSchema = z.object({
  templating: z.object({ list: z.array(z.object({ name: z.string(), definition: z.string().optional() })) }),
  panels: z.array(
    z.object({
      id: z.number(),
      title: z.string(),
      gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
      targets: z.array(z.object({ expr: z.string(), legendFormat: z.string() })).default([]),
    }),
  ),
});

const RulesSchema = z.strictObject({
  groups: z.array(
    z.strictObject({
      name: z.string(),
      rules: z.array(
        z.strictObject({
          alert: z.string(),
          expr: z.string(),
          for: z.string().optional(),
          labels: z.object({ severity: z.enum(['warning', 'critical']) }),
          annotations: z.strictObject({ summary: z.string(), description: z.string() }),
        }),
      ),
    }),
  ),
});

interface Expression {
  readonly where: string;
  readonly expr: string;
  /** Labels that texts beside it name. */
  readonly named: readonly string[];
}

const placeholders = (text: string, pattern: RegExp) =>
  [...text.matchAll(pattern)].map(([, name = '']) => name);
/** With the dashboard's variables as Grafana fills them in for All. */
const filled = (expr: string) =>
  expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$(tier|model|instance)\b/g, '.*');

const dashboard = DashboardSchema.parse(JSON.parse(await readFile(DASHBOARD_FILE, 'utf8')));
const rules = RulesSchema.parse(
  parse(await readFile(join(DEPLOY, 'grafana/alerts.yaml'), 'utf8')),
).groups.flatMap((group) => group.rules);
const panels: Expression[] = dashboard.panels.flatMap(({ title, targets }) =>
  targets.map(({ expr, legendFormat }) => ({
    where: title,
    expr: filled(expr),
    named: placeholders(legendFormat, /\{\{(\w+)\}\}/g),
  })),
);
const alerts: Expression[] = rules.map(({ alert, expr, annotations }) => ({
  where: alert,
  expr,
  named: placeholders(`${annotations.summary} ${annotations.description}`, /\$labels\.(\w+)/g),
}));

/** What scales the deployments. */
async function triggers(): Promise<Expression[]> {
  const files = ['free', 'standard', 'premium'].map((tier) => join(DEPLOY, `kubernetes/${tier}.yaml`));
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  const queries = texts.flatMap((text) =>
    parseAllDocuments(text).flatMap((document) =>
      placeholders(JSON.stringify(document.toJS()), /"query":"((?:[^"\\]|\\.)*)"/g),
    ),
  );
  return queries.map((query) => ({ where: 'KEDA', expr: JSON.parse(`"${query}"`), named: [] }));
}

function installed(command: string): boolean {
  try {
    return execFileSync(command, ['--version'], { stdio: ['ignore', 'pipe', 'pipe'] }).length >= 0;
  } catch {
    return false;
  }
}

describe('the dashboard, the alerts and the scaling', () => {
  let server: RunningServer;
  let exposed: Exposed;

  beforeAll(async () => {
    const config = join(await mkdtemp(join(tmpdir(), 'concertina-')), 'tiers.json');
    const tiers = { free: { default: true, queue: 8 }, standard: {}, premium: {} };
    await writeFile(config, JSON.stringify({ tiers }));
    server = await startServer({
      store: await tinyStore({ config: busyConfig(8) }),
      port: 0,
      workers: 1,
      config,
    });
    await server.loaded();
    await drive();
    exposed = exposedMetrics(await (await fetch(`${server.url}/metrics`)).text());
  });
  afterAll(() => server.close());

  /** Answers of every kind: met and missed targets, several levels, problems, degraded and refused ones. */
  async function drive(): Promise<void> {
    const image = await picture('#123456', { width: 64, height: 64 });
    for (const budget of ['level=0', 'latency=0.01', 'latency=60000', 'flops=2'])
      await embedAt(server, image, { 'Compute-Budget': budget });
    await Promise.all(Array.from({ length: 20 }, () => embedAt(server, image)));
    await fetch(`${server.url}/v1/embeddings`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ input: [dataUri(image), dataUri(image)] }),
    });
    await fetch(`${server.url}/v1/models/nobody`);
  }

  it('is committed as it is rendered, with every panel in its own place', async () => {
    expect(await readFile(DASHBOARD_FILE, 'utf8')).toBe(dashboardText());
    const ids = dashboard.panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    for (const { gridPos } of dashboard.panels) expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
  });

  it('reads only metrics, labels and values that the gateway exposes after real requests', async () => {
    const all = [...panels, ...alerts, ...(await triggers())];
    expect(panels.length).toBeGreaterThan(25);
    expect(all.filter(({ where }) => where === 'KEDA')).toHaveLength(3);
    const complaints = all.flatMap(({ where, expr, named }) =>
      complaintsAbout(expr, named, exposed).map((complaint) => `${where}: ${complaint}`),
    );
    expect(complaints).toEqual([]);
    for (const { definition } of dashboard.templating.list) {
      const [, metric = '', label = ''] = /^label_values\((\w+), (\w+)\)$/.exec(definition ?? '') ?? [];
      if (definition !== undefined)
        expect([definition, TARGET_LABELS.includes(label) || exposed.get(metric)?.has(label)]).toEqual([
          definition,
          true,
        ]);
    }
  });

  it.each([
    ['sum(concertina_request_total)', [], 'no metric concertina_request_total'],
    ['concertina_waiting{teir="free"}', [], 'no label teir'],
    ['sum by (route) (concertina_waiting)', [], 'no label route'],
    ['concertina_phase_seconds_sum{phase="inference"}', [], 'phase="inference" is never exposed'],
    ['concertina_requests_total{route=~"/v2/.*"}', [], 'route=~"/v2/.*" is never exposed'],
    ['sum by (tier) (concertina_waiting)', ['model'], 'the result has no label model'],
    ['sum(concertina_waiting', [], 'not PromQL'],
  ])('would notice %s', (expr, named, complaint) => {
    expect(complaintsAbout(expr, named, exposed).join()).toContain(complaint);
  });

  it.skipIf(!installed('promtool'))(
    'the alerts fire when they should, and are quiet otherwise (needs promtool)',
    async () => {
      const grafana = join(DEPLOY, 'grafana');
      const run = promisify(execFile);
      const checked = await run('promtool', ['check', 'rules', 'alerts.yaml'], { cwd: grafana });
      expect(checked.stdout).toContain(`SUCCESS: ${rules.length} rules found`);
      await run('promtool', ['test', 'rules', 'alerts.test.yaml'], { cwd: grafana });
      const tests = await readFile(join(grafana, 'alerts.test.yaml'), 'utf8');
      for (const { alert } of rules) expect(tests).toContain(alert);
    },
  );

  it.skipIf(!installed('prometheus'))(
    'every panel shows something in a real Prometheus that scrapes a busy gateway (needs prometheus)',
    async () => {
      const query = await scraping(server);
      try {
        // Rates need requests between two scrapes.
        await until(async () => (await query('up')).length === 1, 20_000);
        const level = async () => (await query('sum(concertina_images_total)'))[0]?.value ?? 0;
        const before = await level();
        for (let round = 0; round < 3; round++) {
          await drive();
          await new Promise((done) => setTimeout(done, 1500));
        }
        await until(async () => (await level()) > before, 20_000);
        for (const { where, expr, named } of panels) {
          const series = await query(expr);
          expect([where, expr, series.length > 0]).toEqual([where, expr, true]);
          for (const { metric } of series)
            expect([where, Object.keys(metric)]).toEqual([where, expect.arrayContaining([...named])]);
        }
        for (const { expr } of alerts) await query(expr);
      } finally {
        await query.stop();
      }
    },
    120_000,
  );
});

/** What an expression asks for and the gateway does not have. */
function complaintsAbout(expr: string, named: readonly string[], exposed: Exposed): string[] {
  let parsed: ReturnType<typeof parsePromql>;
  try {
    parsed = parsePromql(expr);
  } catch (error) {
    return [String(error)];
  }
  const complaints: string[] = [];
  const has = (metric: string, label: string) =>
    TARGET_LABELS.includes(label) || exposed.get(metric)?.has(label) === true;
  for (const { metric, matchers } of parsed.readings) {
    if (!exposed.has(metric)) {
      complaints.push(`no metric ${metric}`);
      continue;
    }
    for (const { label, op, value } of matchers) {
      if (!has(metric, label)) complaints.push(`${metric} has no label ${label}`);
      else if (!TARGET_LABELS.includes(label) && !possible(metric, label, op, value, exposed))
        complaints.push(`${metric}: ${label}${op}"${value}" is never exposed`);
    }
  }
  for (const { labels, metrics } of parsed.grouped)
    for (const label of labels)
      for (const metric of metrics)
        if (!has(metric, label)) complaints.push(`${metric} has no label ${label}`);
  const { result, readings } = parsed;
  for (const label of named)
    if (result ? !result.includes(label) : !readings.every(({ metric }) => has(metric, label)))
      complaints.push(`the result has no label ${label}`);
  return complaints;
}

/** Problems that did not happen here have their codes from the table; every other value must have been seen. */
function possible(metric: string, label: string, op: string, value: string, exposed: Exposed): boolean {
  const seen = [...(exposed.get(metric)?.get(label) ?? [])];
  const values = label === 'code' ? [...seen, 'none', ...Object.keys(PROBLEMS)] : seen;
  const test = op.endsWith('~') ? new RegExp(`^(?:${value})$`) : { test: (text: string) => text === value };
  return values.some((candidate) => test.test(candidate));
}

interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A Prometheus of our own that scrapes a gateway once a second; asks it, and stops it. */
async function scraping({ port }: RunningServer) {
  const folder = await mkdtemp(join(tmpdir(), 'concertina-prometheus-'));
  const own = await freePort();
  const config = {
    global: { scrape_interval: '1s', scrape_timeout: '1s' },
    rule_files: [join(DEPLOY, 'grafana/alerts.yaml')],
    scrape_configs: [{ job_name: 'concertina', static_configs: [{ targets: [`127.0.0.1:${port}`] }] }],
  };
  await writeFile(join(folder, 'prometheus.yaml'), JSON.stringify(config));
  const child = spawn(
    'prometheus',
    [
      `--config.file=${join(folder, 'prometheus.yaml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${own}`,
    ],
    { stdio: 'ignore' },
  );
  const ended = once(child, 'exit');
  const query = async (expr: string): Promise<Series[]> => {
    const url = `http://127.0.0.1:${own}/api/v1/query?query=${encodeURIComponent(expr)}`;
    const response = await fetch(url).catch(() => undefined);
    // It is still starting.
    if (!response || response.status === 503) return [];
    const answer = (await response.json()) as {
      status: string;
      error?: string;
      data?: { result: { metric: Record<string, string>; value: [number, string] }[] };
    }; // Prometheus's API
    if (answer.status !== 'success') throw new Error(`${answer.error}: ${expr}`);
    return (answer.data?.result ?? []).map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
  };
  return Object.assign(query, {
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  return typeof address === 'object' && address ? address.port : 0;
}
