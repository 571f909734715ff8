import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { prune } from '../../src/pruning/index.ts';
import { createKey } from '../../src/serving/index.ts';
import { memoryStore } from '../../src/storage/index.ts';

const ROOT = join(import.meta.dirname, '../..');
const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  existsSync,
);
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const VIEWS = ['try', 'ladder', 'load'] as const;

interface AxeResult {
  readonly violations: readonly {
    readonly id: string;
    readonly impact: string;
    readonly nodes: readonly { html: string }[];
  }[];
}

describe.skipIf(!CHROMIUM)('the playground (needs Chromium)', () => {
  const store = memoryStore();
  let server: RunningServer;
  let browser: Browser;

  beforeAll(async () => {
    const assets = join(ROOT, 'assets');
    const work = await mkdtemp(join(tmpdir(), 'concertina-work-'));
    await prune({
      model: join(assets, 'sample-model'),
      images: join(assets, 'sample-images'),
      store,
      work,
      recipe: 'quick',
    });
    server = await startServer({ store, port: 0 });
    await server.loaded();
    browser = await chromium.launch({ executablePath: CHROMIUM ?? '', args: ['--no-sandbox'] });
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  /** A page that remembers what it should not have done. */
  async function open(options: { url?: string; dark?: boolean; width?: number } = {}) {
    const context = await browser.newContext({
      viewport: { width: options.width ?? 1280, height: 900 },
      colorScheme: options.dark ? 'dark' : 'light',
    });
    const page = await context.newPage();
    const foreign: string[] = [];
    const errors: string[] = [];
    const origin = options.url ?? server.url;
    page.on('request', (request) => {
      const url = request.url();
      if (!url.startsWith(origin) && !/^(data|blob):/.test(url)) foreign.push(url);
    });
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') errors.push(message.text());
    });
    await page.goto(`${origin}/`);
    return { page, foreign, errors, close: () => context.close() };
  }

  const answered = async (page: Page, pattern: RegExp) => {
    await page.waitForFunction(
      ([source]) => new RegExp(source ?? '').test(document.querySelector('#answer-level')?.textContent ?? ''),
      [pattern.source],
    );
    return (await page.textContent('#answer-level')) ?? '';
  };
  const slide = (page: Page, value: number) =>
    page.$eval(
      '#slider',
      (slider, to) => {
        if (!(slider instanceof HTMLInputElement)) return;
        slider.value = String(to);
        slider.dispatchEvent(new Event('input', { bubbles: true }));
        slider.dispatchEvent(new Event('change', { bubbles: true }));
      },
      value,
    );

  it('embeds a dropped picture, and the level follows the slider', async () => {
    const { page, foreign, errors, close } = await open();
    const first = await answered(page, /\d/);
    await page.setInputFiles('#file', join(ROOT, 'assets/sample-images/car-2.jpg'));
    await slide(page, 0);
    const small = await answered(page, /\b0\b/);
    await slide(page, 1000);
    const large = await answered(page, /\b7\b/);
    expect(new Set([small, large]).size).toBe(2);
    expect(first).not.toBe('…');
    expect(await page.locator('#network tr').count()).toBeGreaterThanOrEqual(8);
    expect(await page.textContent('#snippets')).toContain('Compute-Budget');
    expect(foreign).toEqual([]);
    expect(errors).toEqual([]);
    await close();
  });

  it('shows an error as a sentence', async () => {
    const { page, close } = await open();
    await answered(page, /\d/);
    const broken = join(await mkdtemp(join(tmpdir(), 'concertina-')), 'broken.jpg');
    await writeFile(broken, 'this is no picture');
    await page.setInputFiles('#file', broken);
    await page.waitForSelector('#try-problem:not([hidden])');
    expect((await page.textContent('#try-problem')) ?? '').toMatch(/cannot be decoded.*\./);
    await close();
  });

  it('works with an API key, and asks for one', async () => {
    const { key, hash } = await createKey();
    const config = join(await mkdtemp(join(tmpdir(), 'concertina-')), 'tiers.json');
    await writeFile(config, JSON.stringify({ tiers: { gold: { keys: [hash] } } }));
    const secured = await startServer({ store, port: 0, config });
    try {
      await secured.loaded();
      const { page, close } = await open({ url: secured.url });
      await page.waitForSelector('#key-dialog[open]');
      await page.fill('#key', key);
      await page.click('#key-use');
      await answered(page, /\d/);
      await close();
    } finally {
      await secured.close();
    }
  });

  it.each([false, true])('has no serious accessibility problem in any view (dark: %s)', async (dark) => {
    const { page, close } = await open({ dark });
    await answered(page, /\d/);
    for (const view of VIEWS) {
      await page.click(`a[href="#${view}"]`);
      await page.waitForSelector(`#view-${view}:not([hidden])`);
      await page.waitForTimeout(800);
      const name = `docs/images/playground-${view}${dark ? '-dark' : ''}.png`;
      if (process.env.UPDATE_SCREENSHOTS) await page.screenshot({ path: join(ROOT, name), fullPage: true });
      await page.evaluate(AXE);
      const result = (await page.evaluate('axe.run()')) as AxeResult; // what axe-core returns
      const serious = result.violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
      expect(serious.map(({ id, nodes }) => [view, id, nodes[0]?.html])).toEqual([]);
    }
    await close();
  });

  it('is readable on a phone: nothing is wider than the screen', async () => {
    const { page, close } = await open({ width: 390 });
    await answered(page, /\d/);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(width).toBeLessThanOrEqual(390);
    if (process.env.UPDATE_SCREENSHOTS)
      await page.screenshot({ path: join(ROOT, 'docs/images/playground-phone.png'), fullPage: true });
    await close();
  });
});
