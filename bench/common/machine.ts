import { availableParallelism, cpus, loadavg } from 'node:os';

/** The machine that a table was measured on, in a sentence. The load says what else was running. */
export function machine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor';
  const cores = availableParallelism();
  const load = loadavg()[0] ?? 0;
  const busy =
    load > cores / 2 ? ' Other programs were busy on these cores meanwhile: ratios hold, times do not.' : '';
  return `${model}, ${cores} cores, Node ${process.versions.node}, load average ${load.toFixed(1)} at the start.${busy}`;
}
