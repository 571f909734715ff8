import { crc32, deflateSync } from 'node:zlib';

interface PngHeader {
  readonly width: number;
  readonly height: number;
  /** 0 greyscale, 2 RGB, 6 RGBA. @default 0 */
  readonly colour?: 0 | 2 | 6;
  readonly depth?: 1 | 8 | 16;
  readonly interlaced?: boolean;
}

/** A PNG of zeros: a thousand times smaller than what it unpacks to. Its rows may be fewer than its header says. */
export function pngOfZeros(
  { width, height, colour = 0, depth = 8, interlaced = false }: PngHeader,
  rows = height,
) {
  const channels = { 0: 1, 2: 3, 6: 4 }[colour];
  const row = Math.ceil((width * channels * depth) / 8) + 1;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, colour, 0, 0, interlaced ? 1 : 0], 8);
  return new Uint8Array(
    Buffer.concat([
      Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
      chunk('IHDR', header),
      // Passes of an interlaced picture have a few rows more.
      chunk('IDAT', deflateSync(Buffer.alloc(row * Math.ceil(rows * (interlaced ? 1.1 : 1))))),
      chunk('IEND', Buffer.alloc(0)),
    ]),
  );
}

function chunk(name: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(name, 'latin1'), data]);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(data.length, 0);
  ends.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
}
