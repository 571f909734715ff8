/** sha256, hexadecimal, by the Web Crypto API (Node and Workers). */
export async function sha256(bytes: Uint8Array): Promise<string> {
  // The digest API wants bytes over a plain ArrayBuffer; ours always are, which the types cannot know.
  const digest = await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
