import type { Box } from './resampling.ts';

/**
 * Where the first frame of a GIF lies on its canvas (GIF89a, sections 18 and 20); the rest of the canvas is background.
 * @returns `undefined` where the file does not get that far
 */
export function gifFrame(bytes: Uint8Array): Box | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const colours = (flags: number) => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  let at = 13 + colours(bytes[10] ?? 0);
  while (at + 10 <= bytes.length) {
    if (bytes[at] === 0x2c) {
      const [left, top, width, height] = [1, 3, 5, 7].map((offset) => view.getUint16(at + offset, true));
      return { left: left ?? 0, top: top ?? 0, width: width ?? 0, height: height ?? 0 };
    }
    if (bytes[at] !== 0x21) return undefined;
    // An extension: sub-blocks of up to 255 bytes, the last one empty.
    for (at += 2; at < bytes.length && bytes[at] !== 0; ) at += 1 + (bytes[at] ?? 0);
    at++;
  }
  return undefined;
}

/** A picture on a white canvas; what lies beyond the canvas is left out. */
export function onWhite(
  { width, height, data }: { readonly width: number; readonly height: number; readonly data: Uint8Array },
  canvas: { readonly width: number; readonly height: number },
  { left, top }: Pick<Box, 'left' | 'top'>,
): Uint8Array {
  const out = new Uint8Array(canvas.width * canvas.height * 3).fill(255);
  const columns = Math.max(0, Math.min(width, canvas.width - left));
  for (let y = 0; y < Math.min(height, canvas.height - top); y++) {
    const row = data.subarray(y * width * 3, (y * width + columns) * 3);
    out.set(row, ((top + y) * canvas.width + left) * 3);
  }
  return out;
}
