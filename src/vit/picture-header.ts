import { Problem } from '../problem/index.ts';
import { readImageHeader } from './web/image-header.ts';

export type PictureType = 'jpeg' | 'png' | 'webp' | 'gif' | 'avif' | 'tiff';

/** What a picture says about itself before any library has seen it. */
export interface PictureHeader {
  readonly type: PictureType;
  /** As stored; 0 where the header cannot be followed. */
  readonly width: number;
  readonly height: number;
  /** Passes over the whole picture: scans of a JPEG, 7 of an interlaced PNG. */
  readonly passes: number;
  /** Bits of a channel are 16. */
  readonly deep: boolean;
  /** Read at a fraction of its size: a JPEG of one pass with more pixels than are accepted otherwise. */
  readonly reduced?: boolean;
}

/** A JPEG of one pass may have so many times the pixels: it is read at a half of its sides or less. */
const REDUCED = 4;

/** Rows or columns of a picture: every row costs something, however short it is. */
const MOST_SIDE = 200_000;
/** Pages of a TIFF: each is read to find the next. */
const MOST_PAGES = 1000;

/**
 * Decides by the first bytes what a picture is, and refuses what no decoder should be given.
 * @throws Problem('undecodable-image') for what is none of the types, ('too-many-pixels')
 */
export function readPictureHeader(bytes: Uint8Array, maxPixels: number): PictureHeader {
  const header = sniff(bytes);
  if (!header) throw unknownType(bytes);
  const { width, height } = header;
  const reduced = width * height > maxPixels && readImageHeader(bytes)?.onePass === true;
  if (width * height > maxPixels * (reduced ? REDUCED : 1) || Math.max(width, height) > MOST_SIDE)
    throw new Problem(
      'too-many-pixels',
      `The image has ${width} x ${height} pixels; at most ${maxPixels} are accepted (${REDUCED * maxPixels} in a JPEG that is not progressive), and ${MOST_SIDE} a side. Scale it down first: the network looks at a few hundred pixels a side.`,
      { width, height, maxPixels, maxSide: MOST_SIDE },
    );
  return reduced ? { ...header, reduced } : header;
}

function sniff(bytes: Uint8Array): PictureHeader | undefined {
  const is = (text: string, at = 0) => ascii(bytes, at, text.length) === text;
  const unread = { width: 0, height: 0, passes: 1, deep: false };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const known = readImageHeader(bytes);
  if (bytes[0] === 0xff && bytes[1] === 0xd8)
    return { ...unread, ...sizeOf(known), type: 'jpeg', passes: scans(bytes) };
  if (is('\x89PNG\r\n\x1a\n'))
    return {
      ...unread,
      ...sizeOf(known),
      type: 'png',
      passes: bytes[28] === 1 ? 7 : 1,
      deep: bytes[24] === 16,
    };
  if (is('RIFF') && is('WEBP', 8)) return { ...unread, ...sizeOf(known), type: 'webp' };
  if (is('GIF8')) {
    if (bytes.length < 10) return { ...unread, type: 'gif' };
    return { ...unread, type: 'gif', width: view.getUint16(6, true), height: view.getUint16(8, true) };
  }
  if (['II*\0', 'MM\0*', 'II+\0', 'MM\0+'].some((magic) => is(magic)))
    return { ...unread, ...readTiff(bytes, view), type: 'tiff' };
  if (is('ftyp', 4) && brands(bytes, view).some((brand) => brand === 'avif' || brand === 'avis'))
    return { ...unread, ...largestImage(bytes, view), type: 'avif' };
  return undefined;
}

function sizeOf(header: { readonly width: number; readonly height: number } | undefined) {
  return header ? { width: header.width, height: header.height } : {};
}

/** Start-of-scan markers of a JPEG (ITU T.81): a progressive one is gone over once for each. */
function scans(bytes: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(0xff); at >= 0; at = bytes.indexOf(0xff, at + 1))
    if (bytes[at + 1] === 0xda) count++;
  return Math.max(1, count);
}

/** Major and compatible brands of an ISO base media file (ISO/IEC 14496-12, 4.3). */
function brands(bytes: Uint8Array, view: DataView): string[] {
  const end = Math.min(bytes.length, view.getUint32(0), 256);
  const list: string[] = [];
  for (let at = 8; at + 4 <= end; at += 4) if (at !== 12) list.push(ascii(bytes, at, 4));
  return list;
}

/** Of the sizes that the head of the file names (`ispe`, ISO/IEC 23008-12, 6.5.3): tiles and thumbnails are among them. */
function largestImage(bytes: Uint8Array, view: DataView): { width: number; height: number } {
  let largest = { width: 0, height: 0 };
  const end = Math.min(bytes.length, 65_536) - 16;
  for (let at = bytes.indexOf(0x69); at >= 0 && at < end; at = bytes.indexOf(0x69, at + 1)) {
    if (ascii(bytes, at, 4) !== 'ispe') continue;
    const size = { width: view.getUint32(at + 8), height: view.getUint32(at + 12) };
    if (size.width * size.height > largest.width * largest.height) largest = size;
  }
  return largest;
}

/**
 * Size of the first page (TIFF 6.0, section 2; BigTIFF has longer offsets).
 * @throws Problem('undecodable-image') for more pages than are looked at
 */
function readTiff(bytes: Uint8Array, view: DataView): Partial<PictureHeader> {
  const little = bytes[0] === 0x49;
  const big = view.getUint16(2, little) === 43;
  const whole = (at: number) => (big ? Number(view.getBigUint64(at, little)) : view.getUint32(at, little));
  const [step, entry] = big ? [8, 20] : [2, 12];
  const size = { width: 0, height: 0, deep: false };
  try {
    let at = whole(big ? 8 : 4);
    for (let page = 0; at !== 0; page++) {
      if (page >= MOST_PAGES)
        throw new Problem(
          'undecodable-image',
          `The TIFF has more than ${MOST_PAGES} pages. Send the first one alone.`,
        );
      const entries = big ? Number(view.getBigUint64(at, little)) : view.getUint16(at, little);
      for (let i = 0; page === 0 && i < Math.min(entries, 100); i++) {
        const place = at + step + i * entry;
        const tag = view.getUint16(place, little);
        const short = view.getUint16(place + 2, little) === 3;
        const value = place + (big ? 12 : 8);
        const number = short ? view.getUint16(value, little) : view.getUint32(value, little);
        if (tag === 256) size.width = number;
        if (tag === 257) size.height = number;
      }
      at = whole(at + step + entries * entry);
    }
  } catch (error) {
    // A directory outside the file: the decoder has a word for it.
    if (!(error instanceof RangeError)) throw error;
  }
  return size;
}

function unknownType(bytes: Uint8Array): Problem {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const heic =
    bytes.length >= 16 &&
    ascii(bytes, 4, 4) === 'ftyp' &&
    brands(bytes, view).some((brand) => /^(hei|hev|mif1|msf1)/.test(brand));
  const what = heic
    ? 'The image is a HEIC, as phones store photographs; its compression is not read here. Export it as JPEG.'
    : 'The image is none of the types that are read.';
  return new Problem('undecodable-image', `${what} Send a JPEG, PNG, WebP, AVIF, GIF or TIFF.`);
}

function ascii(bytes: Uint8Array, at: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + length));
}
