/** Values of every label of every sample name, of a page in Prometheus's text format. */
export type Exposed = ReadonlyMap<string, ReadonlyMap<string, ReadonlySet<string>>>;

export function exposedMetrics(page: string): Exposed {
  const metrics = new Map<string, Map<string, Set<string>>>();
  for (const line of page.split('\n')) {
    const sample = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$/.exec(line);
    if (!sample) continue;
    const [, name = '', labels = ''] = sample;
    const values = metrics.get(name) ?? new Map<string, Set<string>>();
    for (const [, label = '', value = ''] of labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
      values.set(label, (values.get(label) ?? new Set()).add(value));
    metrics.set(name, values);
  }
  return metrics;
}
