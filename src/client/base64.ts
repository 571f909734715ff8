/** Little-endian float32, whatever the order of this machine. */
export function readFloats(bytes: ArrayBuffer): Float32Array {
  const view = new DataView(bytes);
  return Float32Array.from({ length: bytes.byteLength / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

/** Base64 of little-endian float32. */
export function decodeFloats(text: string): Float32Array {
  return readFloats(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
}

/** As many bytes as `String.fromCharCode` takes at once in every browser. */
const PIECE = 0x2000;

export function encodeBytes(bytes: Uint8Array): string {
  let binary = '';
  for (let from = 0; from < bytes.length; from += PIECE)
    binary += String.fromCharCode(...bytes.subarray(from, from + PIECE));
  return btoa(binary);
}
