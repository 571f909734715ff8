import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { RequestRecord } from '../gateway/index.ts';
import type { ModelRegistry, Scheduler } from '../serving/index.ts';

const SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];
const RATIOS = [0.5, 0.8, 0.9, 0.95, 1.05, 1.1, 1.2, 1.5, 2, 4];
const FIDELITIES = [0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1];

export interface PrometheusMetrics {
  observe(record: RequestRecord): void;
  render(): Promise<{ body: string; contentType: string }>;
}

/** Prometheus metrics of one gateway, in a registry of its own. */
export function prometheusMetrics(scheduler: Scheduler, models: ModelRegistry): PrometheusMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const requests = new Counter({
    name: 'concertina_requests_total',
    help: 'Requests answered, by route, status and problem code',
    labelNames: ['route', 'status', 'code', 'tier'],
    registers,
  });
  const duration = new Histogram({
    name: 'concertina_request_seconds',
    help: 'From the first byte read to the answer made',
    labelNames: ['route', 'tier'],
    buckets: SECONDS,
    registers,
  });
  const images = new Counter({
    name: 'concertina_images_total',
    help: 'Images embedded, by level and by what held them back',
    labelNames: ['model', 'tier', 'level', 'precision', 'limited_by'],
    registers,
  });
  const fidelity = new Histogram({
    name: 'concertina_fidelity',
    help: 'Published fidelity of the levels that were run',
    labelNames: ['model', 'tier'],
    buckets: FIDELITIES,
    registers,
  });
  const budgets = new Counter({
    name: 'concertina_budgets_total',
    help: 'Requests with a latency target, by whether it was met and what limited them',
    labelNames: ['tier', 'met', 'limited_by'],
    registers,
  });
  const phase = new Histogram({
    name: 'concertina_phase_seconds',
    help: 'Time of one image in each phase',
    labelNames: ['phase', 'tier'],
    buckets: SECONDS,
    registers,
  });
  const engineSeconds = new Counter({
    name: 'concertina_engine_seconds_total',
    help: 'Time in the engine, as measured',
    labelNames: ['model', 'level', 'precision'],
    registers,
  });
  const predictedSeconds = new Counter({
    name: 'concertina_predicted_seconds_total',
    help: 'Time in the engine, as it was predicted at dispatch',
    labelNames: ['model', 'level', 'precision'],
    registers,
  });
  const profileError = new Histogram({
    name: 'concertina_profile_error_ratio',
    help: 'Measured engine time over predicted',
    buckets: RATIOS,
    registers,
  });
  const degradations = new Counter({
    name: 'concertina_degradations_total',
    help: 'Images that got less because of pressure',
    labelNames: ['tier'],
    registers,
    collect() {
      // Zero is a value: without it a share of nothing would be nothing.
      for (const tier of Object.keys(scheduler.tiers)) this.inc({ tier }, 0);
    },
  });
  const sheds = new Counter({
    name: 'concertina_sheds_total',
    help: 'Requests refused because of load',
    labelNames: ['tier', 'code'],
    registers,
    collect() {
      for (const tier of Object.keys(scheduler.tiers)) for (const code of SHEDS) this.inc({ tier, code }, 0);
    },
  });
  new Gauge({
    name: 'concertina_waiting',
    help: 'Images that wait for a worker',
    labelNames: ['tier'],
    registers,
    collect() {
      for (const tier of Object.keys(scheduler.tiers)) this.set({ tier }, scheduler.load(tier).waiting);
    },
  });
  new Gauge({
    name: 'concertina_running',
    help: 'Images in the engine',
    labelNames: ['tier'],
    registers,
    collect() {
      for (const tier of Object.keys(scheduler.tiers)) this.set({ tier }, scheduler.load(tier).running);
    },
  });
  new Counter({
    name: 'concertina_retries_total',
    help: 'Images that were run once more because their engine worker died or hung',
    registers,
    collect() {
      this.reset();
      this.inc(scheduler.retries);
    },
  });
  new Gauge({
    name: 'concertina_workers',
    help: 'Images that the engine computes at a time',
    labelNames: ['model'],
    registers,
    collect() {
      this.reset();
      for (const model of models.all()) this.set({ model: model.name }, model.engine.concurrency);
    },
  });
  new Gauge({
    name: 'concertina_loaded_level',
    help: 'Highest level that is loaded; -1 before the first',
    labelNames: ['model'],
    registers,
    collect() {
      this.reset();
      for (const model of models.all()) this.set({ model: model.name }, model.loaded);
    },
  });
  new Gauge({
    name: 'concertina_loading_stopped',
    help: '1 while a model, or its larger levels, cannot be loaded; by the reason',
    labelNames: ['model', 'code'],
    registers,
    collect() {
      this.reset();
      for (const { name, stopped } of models.all())
        if (stopped) this.set({ model: name, code: stopped.code }, 1);
      for (const [model, { code }] of models.failures()) this.set({ model, code }, 1);
    },
  });

  return {
    observe({ route, status, code = 'none', tier = 'none', model = 'none', durationMs, items, ...rest }) {
      requests.inc({ route, status, code, tier });
      duration.observe({ route, tier }, durationMs / 1000);
      if (SHEDS.has(code)) sheds.inc({ tier, code });
      if (rest.budgetMet !== undefined) {
        budgets.inc({ tier, met: String(rest.budgetMet), limited_by: rest.limitedBy ?? 'none' });
      }
      for (const item of items) {
        const { level, precision, limitedBy } = item;
        images.inc({ model, tier, level, precision, limited_by: limitedBy });
        fidelity.observe({ model, tier }, item.fidelity);
        if (limitedBy === 'pressure') degradations.inc({ tier });
        if (item.fetchMs > 0) phase.observe({ phase: 'fetch', tier }, item.fetchMs / 1000);
        phase.observe({ phase: 'decode', tier }, item.decodeMs / 1000);
        phase.observe({ phase: 'queue', tier }, item.queueMs / 1000);
        phase.observe({ phase: 'infer', tier }, item.inferMs / 1000);
        engineSeconds.inc({ model, level, precision }, item.inferMs / 1000);
        predictedSeconds.inc({ model, level, precision }, item.predicted / 1000);
        profileError.observe(item.inferMs / Math.max(item.predicted, 1e-6));
      }
    },
    async render() {
      return { body: await registry.metrics(), contentType: registry.contentType };
    },
  };
}

const SHEDS: ReadonlySet<string> = new Set(['tier-saturated', 'overloaded', 'deadline-exceeded', 'draining']);
