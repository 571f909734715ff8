import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Problem } from '../../../src/problem/index.ts';
import { CODE, codeDigest } from '../../../src/pruning/steps/code-digest.ts';
import { digestOf, stepName } from '../../../src/pruning/steps/step-name.ts';
import { storedSteps } from '../../../src/pruning/steps/step-store.ts';
import { memoryStore } from '../../../src/storage/index.ts';
import { openStore } from '../../../src/storage/node.ts';

/** What is read of the rules for imports. */
interface Rules {
  readonly default: {
    readonly forbidden: readonly { readonly name: string; readonly to?: { readonly pathNot?: string } }[];
  };
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'steps-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the name of a step', () => {
  it('changes with every number that the step was made of, and with nothing else', () => {
    const inputs = (value: number, order = [0, 1]) => ({
      scores: { heads: [Float64Array.of(1, value)] },
      tensors: new Map([['a', { shape: [1], data: Float32Array.of(value) }]]),
      units: { heads: [order] },
    });
    expect(stepName('scores', inputs(2))).toMatch(/^scores\.[0-9a-f]{16}$/);
    expect(stepName('scores', inputs(2))).toBe(stepName('scores', inputs(2)));
    const others = [inputs(2 + 2 ** -40), inputs(2, [1, 0]), { ...inputs(2), tensors: new Map() }, {}];
    expect(new Set([inputs(2), ...others].map(digestOf)).size).toBe(5);
    // The same numbers at another width are other numbers.
    expect(digestOf(Float32Array.of(1))).not.toBe(digestOf(Float64Array.of(1)));
  });
});

describe('the digest of the code', () => {
  it('changes with a line of any file and with a name, not with how the folder lists them', async () => {
    const sources = join(folder, 'src');
    await mkdir(join(sources, 'a', 'deep'), { recursive: true });
    await mkdir(join(sources, 'b'));
    await writeFile(join(sources, 'a', 'deep', 'one.ts'), '1');
    await writeFile(join(sources, 'b', 'two.js'), '2');
    const digest = () => codeDigest(['a', 'b'], sources);
    const first = await digest();
    await writeFile(join(sources, 'b', 'notes.md'), 'no code');
    expect(await digest()).toBe(first);
    await writeFile(join(sources, 'a', 'deep', 'one.ts'), '1;');
    const second = await digest();
    await writeFile(join(sources, 'a', 'three.ts'), '');
    expect(new Set([first, second, await digest()]).size).toBe(3);
    await expect(codeDigest(['c'], sources)).rejects.toThrow('ENOENT');
  });

  it('covers every folder that pruning may import from', async () => {
    const file = new URL('../../../.dependency-cruiser.mjs', import.meta.url).href;
    const { default: rules } = (await import(file)) as Rules;
    const rule = rules.forbidden.find(({ name }) => name === 'pruning-imports');
    const [, allowed] = /\((.*)\)/.exec(rule?.to?.pathNot ?? '') ?? [];
    expect([...CODE].sort()).toEqual(allowed?.split('|').sort());
    expect(await codeDigest()).toBe(await codeDigest());
  });
});

describe('saved steps', () => {
  it('of one job go when it is done; those of another in the same folder stay', async () => {
    const work = await openStore(join(folder, 'work'));
    const [done, other] = [storedSteps(work, 'job', 'quick'), storedSteps(work, 'job', 'best')];
    await done.save('scores.1', Uint8Array.of(1));
    await done.save('path.2', Uint8Array.of(2));
    await other.save('path.3', Uint8Array.of(3));
    expect(Array.from((await storedSteps(work, 'job', 'best').load('path.2')) ?? [])).toEqual([2]);
    const keys = async () => (await Array.fromAsync(work.list(''))).map(({ key }) => key);
    await done.clear();
    expect(await keys()).toEqual(['job/best.list', 'job/path.3.step']);
    await other.clear();
    expect(await keys()).toEqual([]);
  });

  it('of an earlier run go too, whether they were asked for again or not', async () => {
    const work = memoryStore();
    const stopped = storedSteps(work, 'job', 'quick');
    await stopped.save('evolution-1', Uint8Array.of(1));
    await stopped.save('scores', Uint8Array.of(2));
    const resumed = storedSteps(work, 'job', 'quick');
    expect(Array.from((await resumed.load('scores')) ?? [])).toEqual([2]);
    await resumed.clear();
    expect((await Array.fromAsync(work.list(''))).map(({ key }) => key)).toEqual([]);
  });

  it('that are damaged count as missing, and a store that is away for a moment is waited for', async () => {
    const origin = memoryStore();
    let away = 0;
    const store = {
      ...origin,
      get: async (key: string) => {
        if (away-- > 0) throw new Problem('store-unavailable', 'There is nobody. Try again.');
        return await origin.get(key);
      },
    };
    const steps = storedSteps(store, 'job', 'quick');
    await steps.save('a', Uint8Array.of(1, 2, 3));
    away = 1;
    expect(Array.from((await steps.load('a')) ?? [])).toEqual([1, 2, 3]);
    const { body } = await origin.get('job/a.step');
    for (const damaged of [
      body.subarray(0, -1),
      body.subarray(0, 8),
      body.map((byte, i) => byte ^ (i === 34 ? 1 : 0)),
    ]) {
      await origin.put('job/a.step', damaged);
      expect(await steps.load('a')).toBeUndefined();
    }
    expect(await steps.load('never saved')).toBeUndefined();
  });
});
