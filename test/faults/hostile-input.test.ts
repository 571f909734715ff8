import { crc32, deflateSync } from 'node:zlib';
import fc from 'fast-check';
import sharp, { type Sharp } from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openApiDocument, ROUTES } from '../../src/gateway/index.ts';
import { type RunningServer, startServer } from '../../src/host/index.ts';
import { dataUri, picture } from '../support/pictures.ts';
import { tinyStore } from '../support/tiny-store.ts';

const RUNS = 150;

/** Promise: nothing that a caller sends is answered with a 5xx, takes long, or ends the process. */
describe('hostile input', { timeout: 600_000 }, () => {
  let server: RunningServer;
  let image: Uint8Array<ArrayBuffer>;
  const documented = new Set(
    [...JSON.stringify(openApiDocument('0', ROUTES)).matchAll(/`([a-z-]+)`:/g)].map(([, code]) => code),
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
    const began = process.cpuUsage();
    const response = await fetch(`${server.url}${path}`, { method: 'POST', body, headers });
    const text = await response.text();
    // Of this process, where the server is: what other programs take of the machine's time is not its fault.
    const { user, system } = process.cpuUsage(began);
    expect((user + system) / 1000).toBeLessThan(5000);
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

  it('in every other header', async () => {
    const header = fc.string({
      unit: fc.constantFrom(...'abcz01/*;,=.:-_ "\'\\%()<>{}[]\u00e9\u00ff'),
      maxLength: 60,
    });
    const names = [
      'Accept',
      'Authorization',
      'X-Api-Key',
      'X-Request-Id',
      'traceparent',
      'tracestate',
      'Origin',
      'Range',
    ];
    const headers = fc.record(Object.fromEntries(names.map((name) => [name, header])), { requiredKeys: [] });
    await fc.assert(
      fc.asyncProperty(headers, fc.option(header), async (given, type) => {
        await send('/v1/embed', image, { ...given, 'Content-Type': type ?? 'image/png' });
      }),
      { numRuns: RUNS },
    );
  });

  it('in the query and the path', async () => {
    const text = fc.string({ unit: 'binary', maxLength: 30 }).map(encodeURIComponent);
    await fc.assert(
      fc.asyncProperty(text, text, text, async (model, dimensions, path) => {
        await send(`/v1/embed?model=${model}&dimensions=${dimensions}&normalize=${path}`, image, {
          'Content-Type': 'image/png',
        });
        const response = await fetch(`${server.url}/v1/models/${path}`);
        await response.arrayBuffer();
        expect(response.status).toBeLessThan(500);
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
    const frames = { raw: { width: 20, height: 60, channels: 3 as const, pageHeight: 20 } };
    const animated = sharp(Buffer.alloc(20 * 60 * 3, 90), frames);
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
      'an animated GIF': await animated
        .clone()
        .gif({ delay: [50, 50, 50] })
        .toBuffer(),
      'an animated WebP': await animated
        .clone()
        .webp({ delay: [50, 50, 50] })
        .toBuffer(),
      'EXIF that breaks off': withExif(await base.clone().jpeg().toBuffer(), EXIF.slice(0, 9)),
      'EXIF with an orientation that there is not': withExif(
        await base.clone().jpeg().toBuffer(),
        orientation(0xffff),
      ),
      'EXIF that points outside itself': withExif(
        await base.clone().jpeg().toBuffer(),
        directoryAt(0x7fffffff),
      ),
      'EXIF that goes round in circles': withExif(await base.clone().jpeg().toBuffer(), circular()),
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
    const small = sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } });
    const jpeg = await small.clone().jpeg().toBuffer();
    const frame = jpeg.indexOf(Buffer.from([0xff, 0xc0]));
    jpeg.writeUInt16BE(50_000, frame + 5);
    jpeg.writeUInt16BE(50_000, frame + 7);
    expect(await asImage(jpeg, 'image/jpeg')).toBe('too-many-pixels');
    const gif = await small.clone().gif().toBuffer();
    // The screen and its only frame; a screen alone counts for nothing.
    for (const at of [6, gif.indexOf(0x2c, 13) + 5]) {
      gif.writeUInt16LE(50_000, at);
      gif.writeUInt16LE(50_000, at + 2);
    }
    expect(['too-many-pixels', 'undecodable-image']).toContain(await asImage(gif, 'image/gif'));
    // A colour profile that unpacks to a thousand times its size.
    expect(['embedded', 'undecodable-image']).toContain(await asImage(await withHugeProfile(small)));
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

/** The head of EXIF: big-endian TIFF whose first directory comes at once, with the orientation as its one entry. */
const EXIF = Buffer.concat([
  Buffer.from('Exif\0\0MM\0*'),
  Buffer.from([0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0]),
]);

function orientation(value: number): Buffer {
  const exif = Buffer.from(EXIF);
  exif.writeUInt16BE(value, 24);
  return exif;
}

function directoryAt(offset: number): Buffer {
  const exif = Buffer.from(EXIF);
  exif.writeUInt32BE(offset, 10);
  return exif;
}

/** The next directory is the first one again. */
function circular(): Buffer {
  const exif = Buffer.from(EXIF);
  exif.writeUInt32BE(8, 28);
  return exif;
}

/** A JPEG with such a segment behind its first marker. */
function withExif(jpeg: Buffer, exif: Buffer): Buffer {
  const head = Buffer.from([0xff, 0xe1, 0, 0]);
  head.writeUInt16BE(exif.length + 2, 2);
  return Buffer.concat([jpeg.subarray(0, 2), head, exif, jpeg.subarray(2)]);
}

/** A PNG whose iCCP chunk unpacks to a thousand times its size, 64 MiB of zeros. */
async function withHugeProfile(image: Sharp): Promise<Buffer> {
  const png = await image.clone().png().toBuffer();
  const data = Buffer.concat([Buffer.from('icc\0\0'), deflateSync(Buffer.alloc(2 ** 26), { level: 9 })]);
  const chunk = Buffer.concat([Buffer.alloc(4), Buffer.from('iCCP'), data, Buffer.alloc(4)]);
  chunk.writeUInt32BE(data.length, 0);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, -4)), chunk.length - 4);
  const header = 33; // signature and IHDR
  return Buffer.concat([png.subarray(0, header), chunk, png.subarray(header)]);
}
