import { Problem } from '../../src/problem/index.ts';
import type { ObjectStore } from '../../src/storage/index.ts';

export interface GatedStore extends ObjectStore {
  /** Lets the bytes before this one through, and those that wait for it. */
  open(end: number): void;
  /** The next so many ranged reads find no server. */
  fail(times: number): void;
  /** Ranged reads so far, by their first bytes. */
  readonly reads: readonly number[];
}

/** A store whose ranges come no sooner than a test lets them. */
export function gatedStore(origin: ObjectStore, end = 0): GatedStore {
  let [limit, failures] = [end, 0];
  const waiting = new Set<() => void>();
  const reads: number[] = [];
  return {
    ...origin,
    reads,
    open(next) {
      limit = next;
      for (const look of [...waiting]) look();
    },
    fail(times) {
      failures = times;
    },
    async getRange(key, start, stop, options) {
      reads.push(start);
      await new Promise<void>((done, abort) => {
        const look = () => {
          if (stop > limit) return;
          waiting.delete(look);
          done();
        };
        waiting.add(look);
        options?.signal?.addEventListener('abort', () => abort(options.signal?.reason), { once: true });
        look();
      });
      if (failures-- > 0) throw new Problem('store-unavailable', 'There is nobody. Try again.');
      return await origin.getRange(key, start, stop, options);
    },
  };
}
