import { exifOrientation } from './exif.ts';

/** What the first bytes of an encoded picture say, before anything is decoded. */
export interface ImageHeader {
  readonly type: 'jpeg' | 'png' | 'webp' | 'gif' | 'avif' | 'tiff';
  /** As stored, before it is turned; 0 for the types whose headers are not read here. */
  readonly width: number;
  readonly height: number;
  /** EXIF orientation, 1 to 8. */
  readonly orientation: number;
  /** Colour components of a JPEG; 4 are printing inks. */
  readonly components?: number;
  /** A JPEG with all components in one pass: it can be read row by row, at a fraction of its size, without being held whole. */
  readonly onePass?: boolean;
  /** More than one frame. */
  readonly animated?: boolean;
  /** The data ends before the picture does, as far as the structure of the file tells. */
  readonly truncated?: boolean;
}

/** @returns `undefined` for bytes that are none of the known types, or whose header is damaged */
export function readImageHeader(bytes: Uint8Array): ImageHeader | undefined {
  const starts = (text: string, at = 0) => ascii(bytes, at, text.length) === text;
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return readJpeg(bytes);
  if (starts('\x89PNG\r\n\x1a\n')) return readPng(bytes);
  if (starts('RIFF') && starts('WEBP', 8)) return readWebp(bytes);
  const unread = { width: 0, height: 0, orientation: 1 };
  if (starts('GIF8')) return { type: 'gif', ...unread };
  if (starts('II*\0') || starts('MM\0*')) return { type: 'tiff', ...unread };
  if (starts('ftypavif', 4) || starts('ftypavis', 4)) return { type: 'avif', ...unread };
  return undefined;
}

/** ITU T.81: markers with their lengths, up to the start of the scan. */
function readJpeg(bytes: Uint8Array): ImageHeader | undefined {
  const view = viewOf(bytes);
  let orientation = 1;
  let frame: { width: number; height: number; components: number } | undefined;
  let sequential = false;
  for (let at = 2; at + 4 <= bytes.length; ) {
    if (bytes[at] !== 0xff) return undefined;
    const marker = bytes[at + 1] ?? 0;
    if (marker === 0xff) {
      at++; // fill bytes may stand before a marker
      continue;
    }
    const length = view.getUint16(at + 2);
    if (marker === 0xda) {
      const onePass = sequential && bytes[at + 4] === frame?.components;
      return frame && { type: 'jpeg', ...frame, orientation, onePass, truncated: !ends(bytes, at) };
    }
    const end = at + 2 + length;
    if (length < 2 || end > bytes.length) return undefined;
    if (marker === 0xe1 && ascii(bytes, at + 4, 6) === 'Exif\0\0')
      orientation = exifOrientation(bytes.subarray(at + 10, end));
    if (marker === 0xc0 || marker === 0xc1) sequential = true;
    // SOF0 to SOF15; among them DHT, JPG and DAC are none.
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker) && length >= 8)
      frame = {
        height: view.getUint16(at + 5),
        width: view.getUint16(at + 7),
        components: bytes[at + 9] ?? 0,
      };
    at = end;
  }
  return undefined;
}

/** Whether an end-of-image marker follows the start of the scan; some files have other things behind it. */
function ends(bytes: Uint8Array, scan: number): boolean {
  for (let at = bytes.length - 2; at > scan; at--)
    if (bytes[at] === 0xff && bytes[at + 1] === 0xd9) return true;
  return false;
}

/** PNG, ISO/IEC 15948: chunks of length, name, data and check sum. */
function readPng(bytes: Uint8Array): ImageHeader | undefined {
  const view = viewOf(bytes);
  if (bytes.length < 33 || ascii(bytes, 12, 4) !== 'IHDR') return undefined;
  let orientation = 1;
  let complete = false;
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const name = ascii(bytes, at + 4, 4);
    if (name === 'IEND') complete = true;
    if (name === 'eXIf' && at + 12 + length <= bytes.length)
      orientation = exifOrientation(bytes.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  return { type: 'png', width, height, orientation, truncated: !complete };
}

/** WebP container: RIFF chunks; the first is VP8 (lossy), VP8L (lossless) or VP8X (extended). */
function readWebp(bytes: Uint8Array): ImageHeader | undefined {
  if (bytes.length < 30) return undefined;
  const view = viewOf(bytes);
  const size = webpSize(bytes, view);
  if (!size) return undefined;
  let orientation = 1;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at + 4, true);
    if (ascii(bytes, at, 4) === 'EXIF' && at + 8 + length <= bytes.length) {
      const block = bytes.subarray(at + 8, at + 8 + length);
      orientation = exifOrientation(ascii(block, 0, 6) === 'Exif\0\0' ? block.subarray(6) : block);
    }
    at += 8 + length + (length & 1);
  }
  return { type: 'webp', ...size, orientation, truncated: view.getUint32(4, true) + 8 > bytes.length };
}

function webpSize(bytes: Uint8Array, view: DataView) {
  switch (ascii(bytes, 12, 4)) {
    case 'VP8 ':
      return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
    case 'VP8L': {
      const bits = view.getUint32(21, true);
      return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
    }
    case 'VP8X': {
      const word = (at: number) => view.getUint16(at, true) + ((bytes[at + 2] ?? 0) << 16) + 1;
      return { width: word(24), height: word(27), animated: ((bytes[20] ?? 0) & 2) !== 0 };
    }
    default:
      return undefined;
  }
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function ascii(bytes: Uint8Array, at: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + length));
}
