import { request } from 'node:http';
import { describe, expect, it } from 'vitest';
import { startGatewayOf, startGatewayProcess } from '../support/gateway-process.ts';
import { dataUri, picture } from '../support/pictures.ts';
import { busyConfig } from '../support/tiny-vit.ts';
import { until } from '../support/until.ts';

/** Requests of many images each: most of their images have not even been decoded when the signal comes. */
const [ACCEPTED, IMAGES] = [4, 25];

interface List {
  readonly data: readonly {
    readonly embedding: readonly number[];
    readonly error?: { readonly code: string };
  }[];
}

interface Answer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly code: string;
}

/** Promise: SIGTERM under load loses no accepted request, refuses new ones with 503, and ends in bounded time. */
describe('SIGTERM under load', () => {
  it('finishes what was accepted, to the last image, and exits with 0', async () => {
    // Some milliseconds an image, so that requests wait for each other.
    const config = busyConfig(16);
    const gateway = await startGatewayOf({ config });
    const { url } = gateway;
    const image = await picture();
    const input = Array<string>(IMAGES).fill(dataUri(image));
    const accepted = Array.from({ length: ACCEPTED }, async () => {
      const response = await fetch(`${url}/v1/embeddings`, {
        method: 'POST',
        body: JSON.stringify({ input }),
        headers: { 'Content-Type': 'application/json' },
      });
      return { status: response.status, list: (await response.json()) as List }; // OpenAI's shape
    });
    // The gateway itself says that it has them: an image of each is in its queue or its engine at a time.
    await until(async () => waiting(await (await fetch(`${url}/metrics`)).text()) === ACCEPTED - 1);
    const began = performance.now();
    gateway.kill('SIGTERM');
    const refused = knock(url, image, gateway.exited);
    for (const { status, list } of await Promise.all(accepted)) {
      expect(status).toBe(200);
      expect(list.data.filter(({ error }) => error)).toEqual([]);
      expect(list.data.map(({ embedding }) => embedding.length)).toEqual(
        Array(IMAGES).fill(config.embeddingWidth),
      );
    }
    expect(await gateway.exited).toBe(0);
    expect(performance.now() - began).toBeLessThan(20_000);
    const answers = await refused;
    expect(answers.length).toBeGreaterThan(0);
    for (const answer of answers) expect(answer).toEqual({ status: 503, retryAfter: '1', code: 'draining' });
  }, 60_000);

  it('does not wait for an upload that does not end, nor for idle connections', async () => {
    const gateway = await startGatewayProcess();
    const idle = await fetch(`${gateway.url}/livez`);
    expect(await idle.json()).toEqual({ status: 'live' });
    const upload = request(`${gateway.url}/v1/embed`, {
      method: 'POST',
      headers: { 'Content-Type': 'image/png', 'Content-Length': 1000 },
    });
    upload.on('error', () => {});
    upload.write('half of it');
    await new Promise((done) => setTimeout(done, 100));
    const began = performance.now();
    gateway.kill('SIGTERM');
    expect(await gateway.exited).toBe(0);
    // The gateway's patience for accepted requests is 20 s; nothing here was accepted.
    expect(performance.now() - began).toBeLessThan(15_000);
    upload.destroy();
  }, 60_000);
});

const waiting = (metrics: string): number =>
  Number(/concertina_waiting\{tier="open"\} (\d+)/.exec(metrics)?.[1] ?? 0);

/** Sends requests until the gateway is gone. @returns what those were answered that come after the signal */
async function knock(url: string, image: Uint8Array<ArrayBuffer>, gone: Promise<unknown>): Promise<Answer[]> {
  const answers: Answer[] = [];
  let over = false;
  void gone.then(() => {
    over = true;
  });
  while (!over) {
    try {
      const response = await fetch(`${url}/v1/embed`, {
        method: 'POST',
        body: image,
        headers: { 'Content-Type': 'image/png' },
      });
      const { code = '' } = (await response.json()) as { code?: string }; // problem details
      // The signal may take a moment to arrive.
      if (response.status !== 200 || answers.length > 0)
        answers.push({
          status: response.status,
          retryAfter: response.headers.get('Retry-After') ?? undefined,
          code,
        });
    } catch {
      // Nobody listens any more.
    }
    await new Promise((done) => setTimeout(done, 5));
  }
  return answers;
}
