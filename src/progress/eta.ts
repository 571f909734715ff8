/**
 * Milliseconds left of a step, from the mean pace so far; undefined before anything is done.
 * @param elapsed ms since the step began
 */
export function remainingTime(done: number, total: number, elapsed: number): number | undefined {
  return done > 0 ? (elapsed / done) * Math.max(0, total - done) : undefined;
}

/** `850 ms`, `4.2 s`, `3 min 05 s`, `2 h 07 min`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  if (hours === 0) return `${minutes} min ${pad(seconds % 60)} s`;
  return `${hours} h ${pad(minutes % 60)} min`;
}

function pad(value: number): string {
  return String(value).padStart(2, '0');
}
