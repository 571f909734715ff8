/** Numbers and reasons in words. */

/** Milliseconds with two significant digits below 10. */
export function ms(value) {
  if (!Number.isFinite(value)) return '–';
  if (value === 0) return '0 ms';
  return `${value < 0.995 ? value.toFixed(2) : value < 99.5 ? value.toFixed(1) : Math.round(value)} ms`;
}

export const percent = (share, places = 0) => `${(100 * share).toFixed(places)} %`;

/** Fidelity with three digits, and never rounded up to 1. */
export const fidelity = (value) => (Math.floor(value * 1000 + 1e-9) / 1000).toFixed(3);

/** A count in three digits: 3.65 M, 913 k. */
export function count(value) {
  if (value >= 1e9) return `${(value / 1e9).toPrecision(3)} G`;
  if (value >= 1e6) return `${(value / 1e6).toPrecision(3)} M`;
  if (value >= 1e4) return `${Math.round(value / 1e3)} k`;
  return String(value);
}

/**
 * Why this level and not a better one.
 * @param {{ level: number, limitedBy: string }} answer
 * @param {readonly { level: number, flops: number, fidelity: number, predicted_ms?: number }[]} ladder
 * @param {{ kind: string, value: number }} budget
 */
export function because({ level, limitedBy }, ladder, { kind, value }) {
  const chosen = ladder[level];
  const better = ladder.filter((other) => other.fidelity > (chosen?.fidelity ?? 1));
  const next = better.length > 0 ? better.reduce((a, b) => (b.fidelity < a.fidelity ? b : a)) : undefined;
  switch (limitedBy) {
    case 'none':
      return kind === 'fidelity' && value < 1
        ? 'The budget allows the most faithful level, and here it is also the fastest that is faithful enough.'
        : 'Nothing held it back: this is the most faithful level there is.';
    case 'flops':
      return next
        ? `The next better level, ${next.level}, would take ${percent(next.flops)} of the FLOPs.`
        : 'Better levels take more FLOPs.';
    case 'latency':
      if (kind === 'fidelity') return `The fastest level with a fidelity of at least ${fidelity(value)}.`;
      return next?.predicted_ms !== undefined
        ? `The next better level, ${next.level}, would take the engine ${ms(next.predicted_ms)}: with decoding, too long.`
        : 'Better levels would take too long.';
    case 'level':
      return 'This level was asked for by number.';
    case 'tier':
      return 'The traffic tier of this key goes no further.';
    case 'pressure':
      return 'Others are waiting. Under load the gateway gives less before it refuses anyone.';
    case 'loading':
      return 'Better levels are still being loaded.';
    default:
      return `Limited by ${limitedBy}.`;
  }
}

/** A failure as a sentence. */
export function sentence(error) {
  if (error?.name === 'Refusal') return error.message;
  if (error instanceof TypeError) return 'The gateway does not answer. Is it still running?';
  return error instanceof Error && error.message ? error.message : 'Something went wrong on this page. Reload it.';
}
