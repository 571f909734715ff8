import { serializeDictionary, Token } from 'structured-headers';
import type { ItemRecord } from './record.ts';

/** Headers that pages of other origins may read. */
export const EXPOSED_HEADERS = [
  'Compute-Applied',
  'Embedding-Space',
  'Server-Timing',
  'X-Request-Id',
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'Vary',
  'traceresponse',
];

const digits = (value: number, places: number): number => Number(value.toFixed(places));

/** The image that got the least: what a caller of several should know about. */
export function leastFaithful(items: readonly ItemRecord[]): ItemRecord | undefined {
  return items.reduce<ItemRecord | undefined>(
    (least, item) => (!least || item.fidelity < least.fidelity ? item : least),
    undefined,
  );
}

/** `Compute-Applied` and `Server-Timing`; of several images the least faithful one, and the longest phases. */
export function answerHeaders(items: readonly ItemRecord[]): Record<string, string> {
  const least = leastFaithful(items);
  if (!least) return {};
  const longest = (pick: (item: ItemRecord) => number) => digits(Math.max(...items.map(pick)), 2);
  const timing = {
    fetch: longest(({ fetchMs }) => fetchMs),
    decode: longest(({ decodeMs }) => decodeMs),
    queue: longest(({ queueMs }) => queueMs),
    infer: longest(({ inferMs }) => inferMs),
  };
  return {
    'Compute-Applied': serializeDictionary({
      level: least.level,
      flops: digits(least.flops, 3),
      fidelity: digits(least.fidelity, 3),
      ...(least.precision === 'fp32' ? {} : { precision: new Token(least.precision) }),
      predicted: digits(least.predicted, 2),
      'limited-by': new Token(least.limitedBy),
    }),
    'Server-Timing': Object.entries(timing)
      .map(([name, ms]) => `${name};dur=${ms}`)
      .join(', '),
  };
}
