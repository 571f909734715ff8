import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { ModelResponse } from '../../src/gateway/index.ts';
import { packageFolder, type RunningServer, startServer } from '../../src/host/index.ts';
import { openStore } from '../../src/storage/node.ts';
import { until } from '../support/until.ts';
import { CHROMIUM, launch } from './support/chromium.ts';
import { answered, neighbours, open, slide } from './support/playground.ts';

const IMAGES = join(packageFolder(), 'assets/sample-images');

/** What the gateway says of the sample model's levels. */
async function ladderOf(url: string) {
  const response = await fetch(`${url}/v1/models/sample-model`);
  const { ladder } = (await response.json()) as {
    ladder: { flops: number; heads: number[]; channels: number[] }[];
  }; // the contract's shape
  return ladder;
}

describe.skipIf(!CHROMIUM)('trying a budget in the playground (needs Chromium)', () => {
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

  /** Drops a file where a hand would, with the events that a browser sends. */
  async function drop(page: Page, name: string, bytes: Uint8Array) {
    const data = await page.evaluateHandle(
      ([file, numbers]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(numbers)], file, { type: 'image/jpeg' }));
        return transfer;
      },
      [name, [...bytes]] as const, // a tuple
    );
    for (const type of ['dragenter', 'dragover', 'drop']) {
      await page.dispatchEvent('#stage', type, { dataTransfer: data });
      if (type === 'dragover') await page.waitForSelector('#stage.over');
    }
    await data.dispose();
  }

  it('embeds a picture that is dropped on it, and the level follows the slider', async () => {
    const { page, foreign, errors, close } = await open(browser, server.url);
    await answered(page);
    await drop(page, 'mine.jpg', await readFile(join(IMAGES, 'fish-2.jpg')));
    await page.waitForSelector('#preview[alt="mine.jpg"]');
    expect(await page.locator('#stage.over').count()).toBe(0);
    expect(await page.locator('#samples :checked').count()).toBe(0);
    await slide(page, 0);
    await answered(page, /^Level 0 of 7/);
    const share = Math.round(100 * ((await ladderOf(server.url))[1]?.flops ?? 0));
    // The faster arithmetic of the next level, as it was measured here.
    expect(await page.textContent('#answer-why')).toMatch(
      new RegExp(`^The next better level, 1( in int8)?, would take ${share}\u00a0% of the FLOPs\\.$`),
    );
    await slide(page, 1);
    await answered(page, /^Level 7, the full network/);
    expect(await page.textContent('#answer-why')).toMatch(/^Nothing held it back/);
    await neighbours(page);
    // The full network beside itself: all agree, and the dropped picture is a fish among fish.
    expect(await page.textContent('#neighbours-note')).toBe('All 5 the same');
    expect(await page.locator('#neighbours img').first().getAttribute('alt')).toMatch(/fish/i);
    expect(foreign).toEqual([]);
    expect(errors).toEqual([]);
    await close();
  });

  it('shows which heads and channels of every block ran, and where the time went', async () => {
    const { page, close } = await open(browser, server.url);
    await answered(page);
    await slide(page, 0);
    await answered(page, /^Level 0/);
    const ladder = await ladderOf(server.url);
    const rows = page.locator('#network tbody tr');
    expect(await rows.count()).toBe(8);
    for (const [block, row] of (await rows.all()).entries()) {
      expect(await row.locator('.dots .on').count()).toBe(ladder[0]?.heads[block]);
      expect(await row.locator('.count').nth(1).textContent()).toBe(String(ladder[0]?.channels[block]));
    }
    expect(await page.locator('#timing dt').allTextContents()).toEqual(['Decode', 'Queue', 'Engine']);
    expect(await page.textContent('#timing')).toMatch(/ms of [\d.]+\u00a0ms predicted/);
    await close();
  });

  it('shows the dimensions of heads in their place, where those are what a level keeps', async () => {
    const { page, errors, close } = await open(browser, server.url);
    await page.route('**/v1/models', async (route) => {
      const response = await fetch(`${server.url}/v1/models/sample-model`);
      const model = (await response.json()) as ModelResponse; // the contract's shape
      const blocks = Array.from({ length: 8 }, (_, block) => block);
      const ladder = model.ladder.map((level, index) => {
        const kept = (least: number) => blocks.map((block) => (index === 7 ? 32 : least + block));
        return { ...level, heads: blocks.map(() => 6), queries: kept(8), values: kept(16) };
      });
      await route.fulfill({ json: { object: 'list', data: [{ ...model, ladder }] } });
    });
    await page.reload();
    await answered(page);
    await slide(page, 0);
    await answered(page, /^Level 0/);
    expect((await page.locator('#network thead th').allTextContents()).slice(0, 4)).toEqual([
      'Block',
      'Queries of 32',
      'Values of 32',
      'Channels of 768',
    ]);
    for (const [block, row] of (await page.locator('#network tbody tr').all()).entries())
      expect((await row.locator('.count').allTextContents()).slice(0, 2)).toEqual([
        String(8 + block),
        String(16 + block),
      ]);
    expect(await page.locator('#network .dots').count()).toBe(0);
    // 8 to 15 and 16 to 23 of 32 in each of 8 blocks.
    expect(await page.textContent('#network-note')).toMatch(
      /^36\u00a0% of the query-key dimensions, 61\u00a0% of the value dimensions, \d+\u00a0% of the channels/,
    );
    expect(errors).toEqual([]);
    await close();
  });

  it('takes a budget as latency or as fidelity, and sends it as such', async () => {
    const { page, close } = await open(browser, server.url);
    // Times as they would be measured on some machine: 10 to 80 ms.
    await page.route('**/v1/models', async (route) => {
      const response = await fetch(`${server.url}/v1/models/sample-model`);
      const model = (await response.json()) as ModelResponse; // the contract's shape
      const ladder = model.ladder.map((level, index) => ({
        ...level,
        predicted_ms: 10 * (index + 1),
        precisions: { fp32: { ...level.precisions.fp32, predicted_ms: 10 * (index + 1) } },
      }));
      await route.fulfill({ json: { object: 'list', data: [{ ...model, ladder }] } });
    });
    const sent: string[] = [];
    page.on('request', (request) => {
      const budget = request.headers()['compute-budget'];
      if (budget) sent.push(budget);
    });
    await page.reload();
    await answered(page);
    await page.check('#kinds [value=latency]', { force: true });
    const asked = async () => {
      await answered(page);
      return Number(/^latency=([\d.]+)$/.exec(sent.at(-1) ?? '')?.[1]);
    };
    await slide(page, 0);
    // Half of what the fastest level takes: enough for nothing, so that the fastest runs, whichever that is here.
    await until(async () => (await asked()) === 5);
    expect(await page.textContent('#snippets')).toContain("Compute-Budget: latency=5'");
    await slide(page, 1);
    // Six times the full network's time, and 20 ms.
    await until(async () => (await asked()) === 500);
    await page.check('#kinds [value=fidelity]', { force: true });
    await slide(page, 1);
    await answered(page, /^Level 7/);
    expect(await page.textContent('#snippets')).toContain('fidelity=1');
    await slide(page, 0);
    await page
      .locator('#answer-why', { hasText: 'The cheapest level with a fidelity of at least 0.400' })
      .waitFor();
    await close();
  });

  it('shows the neighbours at this budget beside those at full budget', async () => {
    const { page, close } = await open(browser, server.url);
    await answered(page);
    await slide(page, 0);
    await answered(page, /^Level 0/);
    await page.locator('.strip h3', { hasText: 'At this budget, level 0' }).waitFor();
    expect(await page.locator('.strip h3').allTextContents()).toEqual([
      'At this budget, level 0',
      'At full budget, level 7',
    ]);
    expect(await page.locator('.strip img').count()).toBe(10);
    expect(await page.textContent('#own-fidelity')).toMatch(/^0\.\d{3} for this image$/);
    // A picture is never its own neighbour.
    const shown = await page
      .locator('.strip img')
      .evaluateAll((images) => images.map((image) => image.getAttribute('src')));
    expect(shown.filter((source) => source?.endsWith('car-1.jpg'))).toEqual([]);
    await close();
  });

  it('shows an error as a sentence, and recovers from it', async () => {
    const { page, close } = await open(browser, server.url);
    await answered(page);
    await drop(page, 'broken.jpg', new TextEncoder().encode('this is no picture'));
    const alert = page.locator('#try-problem');
    await alert.waitFor();
    expect(await alert.textContent()).toMatch(
      /^The image is none of the types that are read\. Send a JPEG.*\.$/,
    );
    await page.setInputFiles('#file', join(IMAGES, 'car-2.jpg'));
    await alert.waitFor({ state: 'hidden' });
    await answered(page);
    await close();
  });

  it('says what to do when the gateway has gone, or has no model', async () => {
    const { page, close } = await open(browser, server.url);
    await answered(page);
    await page.route('**/v1/embed*', (route) => route.abort());
    await slide(page, 0.1);
    await page.locator('#try-problem', { hasText: 'The gateway does not answer.' }).waitFor();
    await page.route('**/v1/models', (route) => route.fulfill({ json: { object: 'list', data: [] } }));
    await page.reload();
    await page.locator('#try-problem', { hasText: 'serves no model yet' }).waitFor();
    await page.unroute('**/v1/models');
    await page.unroute('**/v1/embed*');
    await answered(page);
    await close();
  });
});
