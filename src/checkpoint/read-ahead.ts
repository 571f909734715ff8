/** Reads in flight at a time (bench/results/range-reads.md: more gains little on the links that were measured). */
const IN_FLIGHT = 8;
/** Reads that are in flight or wait to be taken: the link stays busy while what came is being installed. */
const AHEAD = 32;

export interface ReadAheadOptions<T, R> {
  readonly read: (item: T) => Promise<R>;
  /** Items of a group are all here before the next group's are begun. @default one group */
  readonly group?: (item: T) => number;
}

/** Reads items in parallel and gives the results in order. A failure is thrown when its turn comes; nothing is begun after it. */
export async function* readAhead<T, R>(
  items: readonly T[],
  { read, group = () => 0 }: ReadAheadOptions<T, R>,
): AsyncGenerator<R, void> {
  const queue: Promise<R>[] = [];
  let [next, inFlight, current] = [0, 0, 0];
  let over = false;
  const fill = () => {
    while (!over && inFlight < IN_FLIGHT && queue.length < AHEAD && next < items.length) {
      const item = items[next] as T; // `next` is below the length
      if (inFlight > 0 && group(item) !== current) return;
      current = group(item);
      next++;
      inFlight++;
      const result = read(item);
      const settled = (failed: boolean) => {
        inFlight--;
        over ||= failed;
        fill();
      };
      result.then(
        () => settled(false),
        () => settled(true),
      );
      queue.push(result);
    }
  };
  try {
    fill();
    for (let first = queue.shift(); first; first = queue.shift()) {
      const result = await first;
      fill();
      yield result;
    }
  } finally {
    over = true;
  }
}
