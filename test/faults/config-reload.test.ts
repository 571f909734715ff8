import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readTiers, watchTiers } from '../../src/host/tiers-file.ts';
import type { Problem } from '../../src/problem/index.ts';
import type { Tiers } from '../../src/serving/index.ts';
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
