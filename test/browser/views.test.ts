import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { PAGE_POLICY } from '../../src/gateway/index.ts';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { openStore } from '../../src/storage/node.ts';
import { CHROMIUM, launch } from './support/chromium.ts';
import { answered, neighbours, open, picture, slide } from './support/playground.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const VIEWS = ['try', 'ladder', 'load'] as const;

interface AxeResult {
  readonly violations: readonly {
    readonly id: string;
    readonly impact: string;
    readonly nodes: readonly { html: string }[];
  }[];
}

/** What a picture for the documents should show: a gateway that is warm, and one that has much to do. */
async function atWork(page: Page, view: (typeof VIEWS)[number]) {
  if (view === 'try') {
    for (const share of [0, 0.3, 0.58, 0.57]) {
      await slide(page, share);
      await page.waitForTimeout(400);
    }
    await neighbours(page);
  }
  if (view === 'load') {
    await page.click('#press');
    await page.waitForTimeout(8000);
  }
}

describe.skipIf(!CHROMIUM)('the views of the playground (needs Chromium)', () => {
  let server: RunningServer;
  let browser: Browser;

  beforeAll(async () => {
    server = await startServer({ store: await openStore(inject('store')), port: 0, workers: 1 });
    await server.loaded();
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  describe.each([
    { name: 'light', dark: false, width: 1280, suffix: '' },
    { name: 'dark', dark: true, width: 1280, suffix: '-dark' },
    { name: 'on a phone', dark: false, width: 390, suffix: '-phone' },
  ])('$name', ({ dark, width, suffix }) => {
    it.each(VIEWS)('%s: no serious accessibility problem, nothing wider than the screen', async (view) => {
      const { page, foreign, errors, close } = await open(browser, server.url, { dark, width });
      await answered(page);
      await neighbours(page);
      await page.click(`.views a[href="#${view}"]`);
      await page.waitForSelector(`#view-${view}:not([hidden])`);
      if (view === 'ladder') await page.locator('#plot-time svg').waitFor();
      if (view === 'load') await page.locator('#mix .mix-row').waitFor();
      if (process.env.UPDATE_SCREENSHOTS) await atWork(page, view);
      await picture(page, `playground-${view}${suffix}`);
      await page.evaluate(AXE);
      const result = (await page.evaluate('axe.run()')) as AxeResult; // what axe-core returns
      const serious = result.violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
      expect(serious.map(({ id, nodes }) => [id, nodes[0]?.html])).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
      expect(foreign).toEqual([]);
      // The script of axe-core is put in by the test, past the policy; it adds a style, which the policy refuses.
      expect(errors.filter((text) => !/inline style/.test(text))).toEqual([]);
      await close();
    });
  });

  it('the page may load and send nothing but to its own gateway', async () => {
    const { headers } = await fetch(`${server.url}/`);
    const policy = headers.get('Content-Security-Policy') ?? '';
    expect(policy).toBe(PAGE_POLICY);
    const directives = new Map(
      policy.split(';').map((text) => {
        const [name = '', ...sources] = text.trim().split(/\s+/);
        return [name, sources];
      }),
    );
    expect(directives.get('default-src')).toEqual(["'none'"]);
    for (const name of ['script-src', 'style-src', 'connect-src'])
      expect(directives.get(name)).toEqual(["'self'"]);
    for (const name of ['base-uri', 'form-action', 'frame-ancestors'])
      expect(directives.get(name)).toEqual(["'none'"]);
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
  });

  it('its policy holds: a script in the page and a request elsewhere are refused', async () => {
    const { page, close } = await open(browser, server.url);
    await answered(page);
    const outcome = await page.evaluate(async () => {
      const script = document.createElement('script');
      script.textContent = 'window.ran = true';
      document.head.append(script);
      const elsewhere = await fetch('http://127.0.0.1:9/').then(
        () => 'sent',
        (error) => error.name,
      );
      return { ran: 'ran' in window, elsewhere };
    });
    expect(outcome).toEqual({ ran: false, elsewhere: 'TypeError' });
    await close();
  });

  it('the ladder leads to a level, and the load view counts what is sent', async () => {
    const { page, close } = await open(browser, server.url, { view: 'ladder' });
    await page.getByRole('button', { name: 'Try level 2' }).click();
    await answered(page, /^Level 2 of 7/);
    // Eight levels, each in fp32 and in int8.
    expect(await page.locator('#plot-fidelity .dot').count()).toBe(16);
    await page.click('.views a[href="#load"]');
    await page.locator('#mix .mix-row').waitFor();
    await page.click('#press');
    await page.locator('#mix p', { hasText: /\d+ images: / }).waitFor();
    await page
      .locator('#press-note', { hasText: /^[1-9]\d* images were embedded/ })
      .waitFor({ timeout: 60_000 });
    await close();
  });
});
