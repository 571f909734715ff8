/**
 * Runs work on the items with at most `limit` in progress and yields the results in the items' order, so that sums over
 * them do not depend on which finished first.
 */
export async function* ordered<T, R>(
  items: Iterable<T>,
  limit: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const running: Promise<R>[] = [];
  for (const item of items) {
    const result = work(item);
    // A failure is reported where the result is awaited; until then it must not count as unhandled.
    result.catch(() => {});
    running.push(result);
    const first = running.length >= limit ? running.shift() : undefined;
    if (first) yield await first;
  }
  for (const result of running) yield await result;
}

/** Consecutive groups of at most `size` items. */
export function groups<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, group) =>
    items.slice(group * size, (group + 1) * size),
  );
}

/** 0, 1 … count - 1. */
export function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
