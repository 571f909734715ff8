import { execFile } from 'node:child_process';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { packageFolder, type RunningServer, startServer } from '../../src/host/index.ts';
import { createKey } from '../../src/serving/index.ts';
import { openStore } from '../../src/storage/node.ts';
import { CHROMIUM, launch } from './support/chromium.ts';
import { answered, open } from './support/playground.ts';

const run = promisify(execFile);

describe.skipIf(!CHROMIUM)('the playground of a gateway with keys (needs Chromium)', () => {
  let server: RunningServer;
  let browser: Browser;
  let key: string;

  beforeAll(async () => {
    const made = await createKey();
    key = made.key;
    const config = join(await mkdtemp(join(tmpdir(), 'concertina-')), 'tiers.json');
    await writeFile(config, JSON.stringify({ tiers: { gold: { keys: [made.hash] } } }));
    server = await startServer({ store: await openStore(inject('store')), port: 0, workers: 1, config });
    await server.loaded();
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  it('asks for a key, says when it is a wrong one, and works by keyboard alone', async () => {
    const { page, close } = await open(browser, server.url);
    await page.waitForSelector('#key-dialog[open]');
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('key');
    await page.keyboard.type('ck_wrong');
    await page.keyboard.press('Enter');
    await page.locator('#try-problem', { hasText: /key/ }).waitFor();
    await page.locator('#key-open').focus();
    await page.keyboard.press('Enter');
    await page.locator('#key').selectText();
    await page.keyboard.type(key);
    await page.keyboard.press('Enter');
    await answered(page);
    expect(await page.textContent('#key-open')).toBe('API key set');

    // To the slider from the top of the page, with the Tab key alone.
    await page.reload();
    await answered(page);
    const reached: string[] = [];
    for (let step = 0; step < 20 && reached.at(-1) !== 'slider'; step++) {
      await page.keyboard.press('Tab');
      reached.push(await page.evaluate(() => document.activeElement?.id ?? ''));
    }
    expect(reached.at(-1)).toBe('slider');
    await page.keyboard.press('End');
    await answered(page, /^Level 7/);
    await page.keyboard.press('Home');
    await answered(page, /^Level 0/);
    // A sample, then a tab of the request, by arrows.
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    expect(await page.evaluate(() => document.activeElement?.getAttribute('name'))).toBe('sample');
    await page.keyboard.press('ArrowRight');
    await page.waitForFunction(
      () => document.querySelector('#samples :checked')?.getAttribute('value') === 'car-2.jpg',
    );
    await page.locator('#tab-curl').focus();
    await page.keyboard.press('ArrowRight');
    expect(await page.locator('#panel-typescript').isVisible()).toBe(true);
    await close();
  });

  it('copies requests that run as they are', async () => {
    const { page, close } = await open(browser, server.url);
    await page.fill('#key', key);
    await page.click('#key-use');
    await answered(page);
    const copied = async (language: string) => {
      await page.click(`#tab-${language}`);
      await page.click(`#panel-${language} .copy`);
      await page.locator(`#panel-${language} .copy`, { hasText: 'Copied' }).waitFor();
      return await page.evaluate(() => navigator.clipboard.readText());
    };
    const env = { ...process.env, CONCERTINA_KEY: key };
    const curl = await copied('curl');
    expect(curl).not.toContain(key);
    expect((await run('bash', ['-c', curl], { env })).stdout).toMatch(/^compute-applied: level=4/im);
    // The package's name stands for its sources here; that the built package has it is a test of its own.
    const client = join(packageFolder(), 'src/client/index.ts');
    const program = join(await mkdtemp(join(tmpdir(), 'concertina-')), 'request.ts');
    await writeFile(program, (await copied('typescript')).replace('concertina/client', client));
    expect((await run(process.execPath, [program], { env })).stdout).toMatch(/^192 4 0\.\d+/);
    const python = await copied('python');
    const missing = await run('python3', ['--version']).then(
      () => false,
      () => true,
    );
    if (!missing) expect((await run('python3', ['-c', python], { env })).stdout).toMatch(/^level=4/);
    await close();
  });
});
