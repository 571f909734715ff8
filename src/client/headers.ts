import type { EmbedOptions, LimitedBy, Precision } from './types.ts';

/** The budget terms of the options as a `Compute-Budget` header; empty when there are none. */
export function budgetHeader({
  latency,
  flops,
  gflops,
  level,
  fidelity,
  deadline,
  aim,
  strict,
}: EmbedOptions): string {
  const terms = { flops, gflops, level, fidelity, deadline };
  const list = Object.entries(terms).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${number(value)}`],
  );
  if (latency !== undefined) list.push(`latency=${number(latency)}${strict ? ';strict' : ''}`);
  if (aim !== undefined) list.push(`aim=${aim}`);
  return list.join(', ');
}

/** All digits, without an exponent. */
function number(value: number): string {
  const text = String(value);
  return text.includes('e') ? value.toFixed(20).replace(/\.?0+$/, '') : text;
}

/** `Compute-Applied` as members. */
export function readApplied(header: string) {
  const members = new Map(header.split(',').map((part) => part.trim().split('=') as [string, string])); // name=value
  const value = (name: string) => Number(members.get(name) ?? Number.NaN);
  return {
    level: value('level'),
    flops: value('flops'),
    fidelity: value('fidelity'),
    // Only what is not fp32 is named.
    precision: (members.get('precision') ?? 'fp32') as Precision, // the contract's words
    predicted: value('predicted'),
    limitedBy: (members.get('limited-by') ?? 'none') as LimitedBy, // the contract's words
  };
}

/** `Server-Timing` as ms by phase. */
export function readTiming(header: string): Record<string, number> {
  return Object.fromEntries(
    [...header.matchAll(/([\w-]+);dur=([\d.]+)/g)].map(([, name = '', ms]) => [name, Number(ms)]),
  );
}
