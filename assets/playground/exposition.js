/** Prometheus' text format, as far as counters and gauges go. */

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** @returns {Map<string, { labels: Record<string, string>, value: number }[]>} samples by metric */
export function parseExposition(text) {
  const metrics = new Map();
  for (const line of text.split('\n')) {
    const match = line.startsWith('#') ? null : LINE.exec(line);
    if (!match) continue;
    const [, name, labels = '', value] = match;
    const list = metrics.get(name) ?? [];
    list.push({
      labels: Object.fromEntries([...labels.matchAll(LABEL)].map(([, key, text]) => [key, text])),
      value: Number(value),
    });
    metrics.set(name, list);
  }
  return metrics;
}

/** Sum of a metric over the samples whose labels hold. */
export function total(metrics, name, holds = () => true) {
  return (metrics.get(name) ?? []).filter(({ labels }) => holds(labels)).reduce((sum, { value }) => sum + value, 0);
}
