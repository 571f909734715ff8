import { crc32 } from 'node:zlib';
import { Problem } from '../../../problem/index.ts';

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const LOCAL = 0x04034b50;
const END_SIZE = 22;
const ENTRY_SIZE = 46;
const LOCAL_SIZE = 30;
const MAX_COMMENT = 0xffff;
const ENCRYPTED = 1;
/** PyTorch writes half a dozen entries; a file with many more is something else. */
const MAX_ENTRIES = 1000;

/**
 * The entries of a zip archive as PyTorch writes it: every one stored, none compressed, below 4 GiB. Offsets and lengths
 * are checked against the file, contents against their CRC-32; entries are views of `bytes`.
 * @throws Problem('invalid-scores')
 */
export function readStoredZip(bytes: Uint8Array): Map<string, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = findEnd(view);
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  if (count > MAX_ENTRIES) throw invalid(`it has ${count} entries`);
  const entries = new Map<string, Uint8Array>();
  for (let index = 0; index < count; index++) {
    need(view, at, ENTRY_SIZE, ENTRY, 'a directory entry');
    const lengths = [28, 30, 32].map((offset) => view.getUint16(at + offset, true));
    const [nameLength = 0, extraLength = 0, commentLength = 0] = lengths;
    if (at + ENTRY_SIZE + nameLength > end) throw invalid('its directory is cut short');
    const name = decode(bytes.subarray(at + ENTRY_SIZE, at + ENTRY_SIZE + nameLength));
    if (entries.has(name)) throw invalid(`the entry ${name} is there twice`);
    entries.set(name, contentOf(bytes, view, at, name, end));
    at += ENTRY_SIZE + nameLength + extraLength + commentLength;
  }
  return entries;
}

function findEnd(view: DataView): number {
  const last = view.byteLength - END_SIZE;
  for (let at = last; at >= Math.max(0, last - MAX_COMMENT); at--) {
    if (view.getUint32(at, true) === END) return at;
  }
  throw invalid('it is no zip archive, or is cut short');
}

function contentOf(
  bytes: Uint8Array,
  view: DataView,
  entry: number,
  name: string,
  limit: number,
): Uint8Array {
  const [flags, method] = [view.getUint16(entry + 8, true), view.getUint16(entry + 10, true)];
  if ((flags & ENCRYPTED) !== 0 || method !== 0) {
    throw invalid(`the entry ${name} is compressed or encrypted, which PyTorch never does`);
  }
  const [stored, size] = [view.getUint32(entry + 20, true), view.getUint32(entry + 24, true)];
  const local = view.getUint32(entry + 42, true);
  if (stored !== size) throw invalid(`the entry ${name} has two different sizes`);
  need(view, local, LOCAL_SIZE, LOCAL, `the header of ${name}`);
  const start = local + LOCAL_SIZE + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
  if (start + size > limit) throw invalid(`the entry ${name} reaches beyond the archive's contents`);
  const content = bytes.subarray(start, start + size);
  if (crc32(content) !== view.getUint32(entry + 16, true))
    throw invalid(`the entry ${name} does not match its checksum`);
  return content;
}

function need(view: DataView, at: number, size: number, signature: number, what: string): void {
  if (at + size > view.byteLength || view.getUint32(at, true) !== signature) {
    throw invalid(`${what} is not where the archive says`);
  }
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function invalid(why: string): Problem {
  return new Problem(
    'invalid-scores',
    `The scores file cannot be read: ${why}. Give the .pt file as it was released.`,
  );
}
