import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { gatewayLog, startServer } from '../../src/host/index.ts';
import { readTiers, watchTiers } from '../../src/host/tiers-file.ts';
import type { Problem } from '../../src/problem/index.ts';
import { createKey, type Tiers } from '../../src/serving/index.ts';
import { embedAt } from '../support/embed-at.ts';
import { picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';
import { until } from '../support/until.ts';

/** Promise: a configuration with an error never takes the place of one that works. */
describe('the tiers file', () => {
  it('is read again when it changes; one with an error is reported and leaves the old one', async () => {
    const file = join(await mkdtemp(join(tmpdir(), 'concertina-')), 'tiers.yaml');
    await writeFile(file, 'tiers:\n  open: { default: true, queue: 10 }\n');
    let tiers: Tiers = await readTiers(file);
    const problems: Problem[] = [];
    const stop = watchTiers(
      file,
      (changed) => {
        tiers = changed;
      },
      (problem) => problems.push(problem),
      20,
    );
    try {
      await new Promise((done) => setTimeout(done, 60));
      await writeFile(file, 'tiers:\n  open: { default: true, queue: -3 }\n');
      await until(() => problems.length === 1);
      expect(problems[0]?.message).toContain('tiers.open.queue');
      expect(tiers.open?.queue).toBe(10);
      await writeFile(file, 'tiers: [\n');
      await until(() => problems.length === 2);
      await writeFile(file, 'tiers:\n  open: { default: true, queue: 77 }\n');
      await until(() => tiers.open?.queue === 77);
    } finally {
      stop();
    }
  });

  it('of a running gateway: with an error in it the old tiers go on, and the next sound one counts', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'concertina-'));
    const file = join(folder, 'tiers.yaml');
    const [old, fresh] = [await createKey(), await createKey()];
    const tiers = (hash: string) => `tiers:\n  gold: { keys: ["${hash}"] }\n`;
    await writeFile(file, tiers(old.hash));
    const notes: string[] = [];
    const log = { ...gatewayLog('none', () => {}), note: (note: string) => void notes.push(note) };
    const store = await tinyStore();
    const server = await startServer({ store, port: 0, workers: 1, config: file, tier: 'gold', log });
    try {
      const image = await picture();
      const status = async ({ key }: { key: string }) =>
        (await embedAt(server, image, { Authorization: `Bearer ${key}` })).status;
      const noted = (count: number) => until(() => notes.length === count, 10_000);
      expect([await status(old), await status(fresh)]).toEqual([200, 403]);
      // The tier that this gateway serves must not vanish: it would be a gateway of other tiers then.
      for (const [index, [text, reason]] of [
        ['tiers:\n  gold: { keys: ["plain-text"] }\n', 'tiers.gold.keys.0'],
        [`tiers:\n  silver: { keys: ["${fresh.hash}"] }\n`, 'no tier "gold"'],
        ['tiers:\n  gold: { floor: { level: 2 }, ceiling: { level: 1 } }\n', 'tiers.gold.floor'],
      ].entries()) {
        await writeFile(file, text ?? '');
        await noted(index + 1);
        expect(notes.at(-1)).toMatch(/^The old tiers stay: /);
        expect(notes.at(-1)).toContain(reason);
        expect([await status(old), await status(fresh)]).toEqual([200, 403]);
      }
      await writeFile(file, tiers(fresh.hash));
      await until(async () => (await status(fresh)) === 200);
      expect(await status(old)).toBe(403);
    } finally {
      await server.close();
    }
  });

  it.each([
    ['tiers: {}', 'at least one tier'],
    ['tiers: { a: { default: true }, b: { default: true } }', 'only one tier'],
    ['tiers: { a: { keys: ["plain-text"] } }', 'tiers.a.keys.0'],
    ['tiers: { A: {} }', 'tiers.A'],
    ['tiers: { a: { wieght: 2 } }', 'wieght'],
  ])('names what is wrong with %s', async (text, expected) => {
    const file = join(await mkdtemp(join(tmpdir(), 'concertina-')), 'tiers.yaml');
    await writeFile(file, text);
    await expect(readTiers(file)).rejects.toMatchObject({
      code: 'invalid-settings',
      message: expect.stringContaining(expected),
    });
  });
});
