import { describe, expect, it } from 'vitest';
import { readAhead } from '../../src/checkpoint/read-ahead.ts';

/** Reads that end when the test says so. */
function manual() {
  const begun: number[] = [];
  const ends = new Map<number, { done: (value: string) => void; fail: (error: Error) => void }>();
  const read = (item: number) => {
    begun.push(item);
    return new Promise<string>((done, fail) => {
      ends.set(item, { done, fail });
    });
  };
  const settle = () => new Promise((done) => setImmediate(done));
  return {
    begun,
    read,
    settle,
    async end(...items: number[]) {
      for (const item of items) ends.get(item)?.done(`read ${item}`);
      await settle();
    },
    async fail(item: number) {
      ends.get(item)?.fail(new Error(`no ${item}`));
      await settle();
    },
  };
}
const numbers = (count: number) => Array.from({ length: count }, (_, item) => item);

describe('reading ahead', () => {
  it('gives results in order, however they come, with eight in flight', async () => {
    const { begun, read, end } = manual();
    const results = readAhead(numbers(20), { read });
    const first = results.next();
    expect(begun).toEqual(numbers(8));
    await end(7, 3);
    expect(begun).toEqual(numbers(10));
    await end(0);
    expect((await first).value).toBe('read 0');
    await end(...numbers(20));
    await end(...numbers(20));
    await end(...numbers(20));
    expect(await Array.fromAsync(results)).toEqual(
      numbers(20)
        .slice(1)
        .map((item) => `read ${item}`),
    );
  });

  it('goes on while nothing is taken, but not without bound', async () => {
    const { begun, read, end } = manual();
    const results = readAhead(numbers(100), { read });
    const first = results.next();
    for (let round = 0; round < 20; round++) await end(...numbers(100));
    await first;
    for (let round = 0; round < 20; round++) await end(...numbers(100));
    // One has been taken, and 32 wait.
    expect(begun).toHaveLength(33);
  });

  it('begins no group before the one before it is here', async () => {
    const { begun, read, end } = manual();
    const results = readAhead(numbers(6), { read, group: (item) => (item < 3 ? 0 : 1) });
    const first = results.next();
    expect(begun).toEqual([0, 1, 2]);
    await end(0, 2);
    expect(begun).toEqual([0, 1, 2]);
    await end(1);
    expect(begun).toEqual([0, 1, 2, 3, 4, 5]);
    await end(3, 4, 5);
    expect((await first).value).toBe('read 0');
    expect(await Array.fromAsync(results)).toHaveLength(5);
  });

  it('throws a failure when its turn comes, and begins nothing after it', async () => {
    const { begun, read, end, fail } = manual();
    const results = readAhead(numbers(20), { read });
    const first = results.next();
    await fail(1);
    await end(0, 2, 3, 4, 5, 6, 7);
    expect((await first).value).toBe('read 0');
    await expect(results.next()).rejects.toThrow('no 1');
    expect(begun).toHaveLength(8);
  });

  it('begins nothing more when nobody wants the rest', async () => {
    const { begun, read, end } = manual();
    const results = readAhead(numbers(20), { read });
    const first = results.next();
    await end(0);
    await first;
    await results.return(undefined);
    await end(...numbers(20));
    expect(begun).toHaveLength(9);
  });
});
