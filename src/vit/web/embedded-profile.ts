/**
 * The colour profile that a picture brings, as bytes of ICC: APP2 segments of a JPEG (ICC.1:2022, B.4), `iCCP` of a PNG (deflated),
 * `ICCP` of a WebP.
 * @returns `undefined` where there is none, or it cannot be put together
 */
export async function embeddedProfile(
  bytes: Uint8Array,
  type: 'jpeg' | 'png' | 'webp',
): Promise<Uint8Array | undefined> {
  switch (type) {
    case 'jpeg':
      return jpegProfile(bytes);
    case 'png':
      return await pngProfile(bytes);
    case 'webp':
      return webpProfile(bytes);
  }
}

/** A profile of more bytes is none: those of screens and cameras have a few thousand, those of printers a few million. */
const MOST_BYTES = 4_000_000;

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const ascii = (bytes: Uint8Array, at: number, length: number) =>
  String.fromCharCode(...bytes.subarray(at, at + length));

function jpegProfile(bytes: Uint8Array): Uint8Array | undefined {
  const view = viewOf(bytes);
  const parts = new Map<number, Uint8Array>();
  let count = 0;
  for (let at = 2; at + 18 <= bytes.length && bytes[at] === 0xff && bytes[at + 1] !== 0xda; ) {
    if (bytes[at + 1] === 0xff) {
      at++;
      continue;
    }
    const end = at + 2 + view.getUint16(at + 2);
    if (bytes[at + 1] === 0xe2 && ascii(bytes, at + 4, 12) === 'ICC_PROFILE\0') {
      parts.set(bytes[at + 16] ?? 0, bytes.subarray(at + 18, end));
      count = bytes[at + 17] ?? 0;
    }
    at = end;
  }
  const ordered = Array.from({ length: count }, (_, i) => parts.get(i + 1) ?? new Uint8Array());
  if (count === 0 || ordered.some((part) => part.length === 0)) return undefined;
  const whole = new Uint8Array(ordered.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of ordered) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

async function pngProfile(bytes: Uint8Array): Promise<Uint8Array | undefined> {
  const view = viewOf(bytes);
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const name = ascii(bytes, at + 4, 4);
    if (name === 'IDAT') return undefined;
    if (name === 'iCCP') {
      const data = bytes.subarray(at + 8, at + 8 + length);
      return await inflate(data.slice(data.indexOf(0) + 2));
    }
    at += 12 + length;
  }
  return undefined;
}

async function inflate(deflated: Uint8Array<ArrayBuffer>): Promise<Uint8Array | undefined> {
  const stream = new Blob([deflated]).stream().pipeThrough(new DecompressionStream('deflate'));
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    const reader = stream.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      parts.push(next.value);
      length += next.value.length;
      if (length > MOST_BYTES) {
        await reader.cancel();
        return undefined;
      }
    }
  } catch {
    return undefined;
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function webpProfile(bytes: Uint8Array): Uint8Array | undefined {
  const view = viewOf(bytes);
  for (let at = 12; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at + 4, true);
    if (ascii(bytes, at, 4) === 'ICCP') return bytes.subarray(at + 8, at + 8 + length);
    at += 8 + length + (length & 1);
  }
  return undefined;
}
