import type { Components } from './content.ts';
import { sha256 } from './digest.ts';
import type { Manifest } from './manifest.ts';

/** Hexadecimal digits of a space's name: 2^32 of them. */
const DIGITS = 8;

/**
 * The name of the space that a network's embeddings lie in: a digest of the source's weights and of what makes a picture its
 * input and its tokens one vector. It is the same for all levels, precisions and re-prunes of one network, and another for any
 * other.
 */
export async function embeddingSpace({
  config,
  provenance,
}: Pick<Manifest, 'config' | 'provenance'>): Promise<string> {
  const { imageSize, patchSize, pool, finalNorm, embeddingWidth, preprocessing } = config;
  const { cropPct, interpolation, cropMode, mean, std } = preprocessing;
  return await nameOf([
    provenance.source.weights,
    [imageSize, patchSize, cropPct, interpolation, cropMode, mean, std],
    [pool, finalNorm, embeddingWidth],
  ]);
}

/** The space of the first principal components of a space's embeddings: those of another calibration are others. */
export async function componentSpace(space: string, { mean, matrix }: Components): Promise<string> {
  const bytes = ({ buffer, byteOffset, byteLength }: Float32Array) =>
    new Uint8Array(buffer, byteOffset, byteLength);
  return await nameOf([space, await sha256(bytes(mean)), await sha256(bytes(matrix))]);
}

async function nameOf(parts: unknown): Promise<string> {
  return (await sha256(new TextEncoder().encode(JSON.stringify(parts)))).slice(0, DIGITS);
}
