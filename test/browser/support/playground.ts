import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import sharp from 'sharp';
import { packageFolder } from '../../../src/host/index.ts';

export interface Opened {
  readonly page: Page;
  /** Addresses outside the gateway that the page asked for. */
  readonly foreign: readonly string[];
  /** What the page failed at, and what its Content-Security-Policy forbade. */
  readonly errors: readonly string[];
  close(): Promise<void>;
}

export interface OpenOptions {
  readonly dark?: boolean;
  readonly width?: number;
  readonly view?: 'try' | 'ladder' | 'load';
}

/** The playground of a gateway in a tab of its own, which remembers what it should not have done. */
export async function open(browser: Browser, origin: string, options: OpenOptions = {}): Promise<Opened> {
  const { dark = false, width = 1280, view = 'try' } = options;
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: dark ? 'dark' : 'light',
  });
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin });
  const page = await context.newPage();
  const foreign: string[] = [];
  const errors: string[] = [];
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(`${origin}/`) && !/^(data|blob):/.test(url)) foreign.push(url);
  });
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  await page.goto(`${origin}/#${view}`);
  return { page, foreign, errors, close: () => context.close() };
}

/** Waits until the answer's headline reads like this, and gives it. */
export async function answered(page: Page, pattern = /^Level \d/): Promise<string> {
  const line = page.locator('#answer-level', { hasText: pattern });
  await line.waitFor();
  await page.waitForSelector('#answer[aria-busy=false]');
  return (await line.textContent()) ?? '';
}

/** Both rows of neighbours are there. */
export const neighbours = (page: Page) => page.locator('#neighbours .strip').nth(1).waitFor();

/** The slider at a share of its way, as a hand would leave it. */
export const slide = (page: Page, share: number) =>
  page.locator('#slider').fill(String(Math.round(1000 * share)));

/** Writes a picture for the documents, if that is asked for; small, since every clone carries it. */
export async function picture(page: Page, name: string): Promise<void> {
  if (!process.env.UPDATE_SCREENSHOTS) return;
  const shot = await page.screenshot({ fullPage: true, animations: 'disabled' });
  const path = join(packageFolder(), 'docs/images', `${name}.png`);
  await sharp(shot).png({ palette: true, quality: 90, effort: 10 }).toFile(path);
}
