import fc from 'fast-check';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openApiDocument } from '../../src/gateway/index.ts';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { dataUri, picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';

const RUNS = 150;

/** Promise: nothing that a caller sends is answered with a 5xx, takes long, or ends the process. */
describe('hostile input', () => {
  let server: RunningServer;
  let image: Uint8Array<ArrayBuffer>;
  const documented = new Set(
    [...JSON.stringify(openApiDocument('0')).matchAll(/`([a-z-]+)`:/g)].map(([, code]) => code),
  );

  beforeAll(async () => {
    server = await startServer({
      store: await tinyStore(),
      port: 0,
      workers: 1,
      limits: { pixels: 2_000_000, bodyMs: 3000 },
    });
    await server.loaded();
    image = await picture();
  });
  afterAll(() => server.close());

  /** Sends it, and holds the answer to the promise. */
  async function send(path: string, body: Uint8Array<ArrayBuffer> | string, headers: Record<string, string>) {
    const began = performance.now();
    const response = await fetch(`${server.url}${path}`, { method: 'POST', body, headers });
    const text = await response.text();
    expect(performance.now() - began).toBeLessThan(5000);
    expect(response.status).toBeLessThan(500);
    if (response.status >= 400) {
      const { code } = JSON.parse(text) as { code: string }; // problem details
      expect(documented).toContain(code);
      return code;
    }
    return 'embedded';
  }
  const asImage = (bytes: Uint8Array, type = 'image/png') =>
    send('/v1/embed', new Uint8Array(bytes), { 'Content-Type': type });

  it('in the budget header', async () => {
    const value = fc.string({
      unit: fc.constantFrom(...'latencyflopsdeadlinefidelity=;,. 0123456789-"?:()strict'),
      maxLength: 80,
    });
    await fc.assert(
      fc.asyncProperty(value, async (text) => {
        await send('/v1/embed', image, { 'Content-Type': 'image/png', 'Compute-Budget': text });
      }),
      { numRuns: RUNS },
    );
  });

  it('in JSON bodies', async () => {
    const body = fc.oneof(
      fc.json(),
      fc
        .record({ input: fc.anything(), dimensions: fc.anything(), compute_budget: fc.anything() })
        .map((value) => {
          try {
            return JSON.stringify(value);
          } catch {
            return '[';
          }
        }),
      fc.string(),
    );
    await fc.assert(
      fc.asyncProperty(body, async (text) => {
        await send('/v1/embeddings', text, { 'Content-Type': 'application/json' });
      }),
      { numRuns: RUNS },
    );
  });

  it('in forms', async () => {
    const form = Buffer.concat([
      Buffer.from(
        '--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n',
      ),
      image,
      Buffer.from('\r\n--b--\r\n'),
    ]);
    const headers = { 'Content-Type': 'multipart/form-data; boundary=b' };
    expect(await send('/v1/embed', new Uint8Array(form), headers)).toBe('embedded');
    await fc.assert(
      fc.asyncProperty(
        fc.nat(form.length - 1),
        fc.nat(255),
        fc.nat(form.length),
        async (at, value, length) => {
          const damaged = new Uint8Array(form);
          damaged[at] = value;
          await send('/v1/embed', damaged.slice(0, Math.max(1, length)), headers);
        },
      ),
      { numRuns: RUNS },
    );
  });

  it('in images: any prefix and any flipped byte of every format', async () => {
    const formats = ['png', 'jpeg', 'webp', 'gif', 'tiff', 'avif'] as const;
    const files = await Promise.all(formats.map((format) => picture('#445566', { format })));
    await fc.assert(
      fc.asyncProperty(
        fc.nat(files.length - 1),
        fc.nat(),
        fc.nat(255),
        fc.boolean(),
        async (which, place, value, cut) => {
          const bytes = new Uint8Array(files[which] ?? image);
          const at = place % bytes.length;
          bytes[at] = value;
          await asImage(cut ? bytes.slice(0, Math.max(1, at)) : bytes, `image/${formats[which]}`);
        },
      ),
      { numRuns: RUNS },
    );
  });

  it('in images that are unusual but sound: they are embedded', async () => {
    const base = sharp({ create: { width: 40, height: 30, channels: 3, background: '#884422' } });
    const sound = {
      CMYK: await base.clone().toColourspace('cmyk').jpeg().toBuffer(),
      '16-bit': await base.clone().toColourspace('rgb16').png().toBuffer(),
      greyscale: await base.clone().greyscale().jpeg().toBuffer(),
      alpha: await base.clone().ensureAlpha(0.3).png().toBuffer(),
      'one pixel': await sharp({ create: { width: 1, height: 1, channels: 3, background: 'red' } })
        .png()
        .toBuffer(),
      'a line of 1 x 100000': await sharp({
        create: { width: 1, height: 100_000, channels: 3, background: 'red' },
      })
        .png()
        .toBuffer(),
      rotated: await base.clone().withMetadata({ orientation: 6 }).jpeg().toBuffer(),
      // A valid JPEG with a script behind its end: the bytes before it decide.
      polyglot: Buffer.concat([
        await base.clone().jpeg().toBuffer(),
        Buffer.from('<script>alert(1)</script>'),
      ]),
    };
    for (const [name, bytes] of Object.entries(sound))
      expect([name, await asImage(bytes, 'image/jpeg')]).toEqual([name, 'embedded']);
  });

  it('in images that declare more than they hold: refused from the header', async () => {
    const bomb = Buffer.from(
      await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
        .png()
        .toBuffer(),
    );
    bomb.writeUInt32BE(50_000, 16);
    bomb.writeUInt32BE(50_000, 20);
    expect(['too-many-pixels', 'undecodable-image']).toContain(await asImage(bomb));
    const svg = Buffer.from(
      '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/></svg>',
    );
    expect(await asImage(svg)).toBe('undecodable-image');
    expect(
      await send('/v1/embeddings', JSON.stringify({ input: dataUri(svg, 'image/svg+xml') }), {
        'Content-Type': 'application/json',
      }),
    ).toBe('undecodable-image');
  });

  it('and it still serves afterwards', async () => {
    expect(await asImage(image)).toBe('embedded');
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
  });
});
