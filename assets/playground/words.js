/** Numbers and reasons in words. A number and its unit stay on one line. */
const NO_BREAK = '\u00a0';

/** Milliseconds with two significant digits below 10. */
export function ms(value) {
  if (!Number.isFinite(value)) return '–';
  if (value === 0) return `0${NO_BREAK}ms`;
  return `${value < 0.995 ? value.toFixed(2) : value < 99.5 ? value.toFixed(1) : Math.round(value)}${NO_BREAK}ms`;
}

export const percent = (share, places = 0) => `${(100 * share).toFixed(places)}${NO_BREAK}%`;

/** Fidelity with three digits, and never rounded up to 1. */
export const fidelity = (value) => (Math.floor(value * 1000 + 1e-9) / 1000).toFixed(3);

/** A count in three digits: 3.65 M, 913 k. */
export function count(value) {
  if (value >= 1e9) return `${(value / 1e9).toPrecision(3)} G`;
  if (value >= 1e6) return `${(value / 1e6).toPrecision(3)} M`;
  if (value >= 1e4) return `${Math.round(value / 1e3)} k`;
  return String(value);
}

/** What a level is worth and takes in an arithmetic: `fidelity`, `fidelity_p5`, `predicted_ms`. */
export function worth(level, precision) {
  return level.precisions?.[precision] ?? level;
}

/** A level in an arithmetic, in words. */
const named = ({ level, precision }) => `${level}${precision === 'fp32' ? '' : ` in ${precision}`}`;

/** The least of what is more faithful than this answer, among what the limit excludes. */
function nextBetter({ level, precision }, ladder, excluded) {
  const { fidelity } = worth(ladder[level] ?? {}, precision);
  return ladder
    .flatMap((other) =>
      Object.keys(other.precisions ?? { fp32: other }).map((name) => ({
        level: other.level,
        flops: other.flops,
        precision: name,
        ...worth(other, name),
      })),
    )
    .filter((other) => other.fidelity > (fidelity ?? 1) && excluded(other))
    .sort((a, b) => a.fidelity - b.fidelity)[0];
}

/**
 * Why this level and not a better one.
 * @param {{ level: number, precision: string, limitedBy: string }} answer
 * @param {readonly object[]} ladder as `/v1/models` gives it
 * @param {{ kind: string, value: number }} budget
 */
export function because(answer, ladder, { kind, value }) {
  switch (answer.limitedBy) {
    case 'none':
      return kind === 'fidelity' && value < 1
        ? `The cheapest level with a fidelity of at least ${fidelity(value)}.`
        : 'Nothing held it back: this is the most faithful level there is.';
    case 'flops': {
      const next = nextBetter(answer, ladder, ({ flops }) => flops > (ladder[answer.level]?.flops ?? 0));
      return next
        ? `The next better level, ${named(next)}, would take ${percent(next.flops)} of the FLOPs.`
        : 'Better levels take more FLOPs.';
    }
    case 'latency': {
      const next = nextBetter(answer, ladder, ({ predicted_ms: time }) => time !== undefined);
      return next
        ? `The next better level, ${named(next)}, would take the engine ${ms(next.predicted_ms)}: with decoding, too long.`
        : 'Better levels would take too long.';
    }
    case 'level':
      return 'This level was asked for by number.';
    case 'tier':
      return 'The traffic tier of this key goes no further.';
    case 'pressure':
      return 'Others are waiting. Under load the gateway gives less before it refuses anyone.';
    case 'loading':
      return 'Better levels are still being loaded.';
    default:
      return `Limited by ${answer.limitedBy}.`;
  }
}

/** A failure as a sentence. */
export function sentence(error) {
  if (error?.name === 'Refusal') return error.message;
  if (error instanceof TypeError) return 'The gateway does not answer. Is it still running?';
  return error instanceof Error && error.message ? error.message : 'Something went wrong on this page. Reload it.';
}
