/** Kinds of pictures by their first bytes, of those that people send. */
const SIGNATURES: readonly (readonly [type: string, at: number, bytes: string])[] = [
  ['image/jpeg', 0, '\xff\xd8\xff'],
  ['image/png', 0, '\x89PNG\r\n\x1a\n'],
  ['image/gif', 0, 'GIF87a'],
  ['image/gif', 0, 'GIF89a'],
  ['image/webp', 8, 'WEBP'],
  ['image/tiff', 0, 'II*\0'],
  ['image/tiff', 0, 'MM\0*'],
  ['image/tiff', 0, 'II+\0'],
  ['image/tiff', 0, 'MM\0+'],
  ['image/avif', 4, 'ftypavif'],
  ['image/avif', 4, 'ftypavis'],
  ['image/heic', 4, 'ftypheic'],
  ['image/heic', 4, 'ftypheix'],
  ['image/heic', 4, 'ftyphevc'],
  ['image/heic', 4, 'ftyphevx'],
  ['image/heic', 4, 'ftypheim'],
  ['image/heic', 4, 'ftypheis'],
  ['image/heic', 4, 'ftypmif1'],
  ['image/heic', 4, 'ftypmsf1'],
  ['image/jxl', 0, '\xff\x0a'],
  ['image/jxl', 0, '\0\0\0\x0cJXL '],
  ['image/jp2', 0, '\0\0\0\x0cjP  '],
  ['image/bmp', 0, 'BM'],
  ['application/pdf', 0, '%PDF-'],
];

/** As many bytes as tell a type. */
export const SIGNATURE_BYTES = 16;

/** The media type of a picture (or of a document that is taken for one), by its bytes; `undefined` for anything else. */
export function imageType(bytes: Uint8Array): string | undefined {
  const head = String.fromCharCode(...bytes.subarray(0, SIGNATURE_BYTES));
  if (brands(bytes).some((brand) => brand === 'avif' || brand === 'avis')) return 'image/avif';
  return SIGNATURES.find(([, at, signature]) => head.startsWith(signature, at))?.[0];
}

/** Compatible brands of an ISO base media file (ISO/IEC 14496-12, 4.3): an AVIF may call itself `mif1` first. */
function brands(bytes: Uint8Array): string[] {
  const text = (at: number) => String.fromCharCode(...bytes.subarray(at, at + 4));
  if (text(4) !== 'ftyp' || bytes.length < 16) return [];
  const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  const end = Math.min(size, bytes.length, 256);
  return Array.from({ length: Math.max(0, Math.floor((end - 16) / 4)) }, (_, i) => text(16 + 4 * i));
}
