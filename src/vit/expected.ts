import { z } from 'zod';
import { Problem } from '../problem/index.ts';
import type { ModelFiles } from './model-source.ts';

/** Inputs and the embeddings that the network's own library computed of them, as a model's folder may bring them. */
export interface Expected {
  readonly images: number;
  /** Side of the inputs. */
  readonly size: number;
  /** `[images, 3, size, size]`, normalised. */
  readonly pixels: Float32Array;
  /** `[images, embeddingWidth]` */
  readonly embeddings: Float32Array;
}

const row = z.array(z.number());
const ExpectedSchema = z.looseObject({
  size: z.number().int().positive().max(4096),
  embedding: z.union([row, z.array(row)]),
});

/**
 * `expected.json` (`size`, and `embedding`: numbers, or a list for each input) with `pixels.f32` (float32, little-endian) beside it.
 * @returns `undefined` where there is no `pixels.f32`
 * @throws Problem('invalid-config') for files that contradict each other
 */
export async function readExpected(files: ModelFiles): Promise<Expected | undefined> {
  const names = await files.list();
  if (!names.includes('expected.json') || !names.includes('pixels.f32')) return undefined;
  const refuse = (what: string): never => {
    throw new Problem(
      'invalid-config',
      `${files.name}: ${what} Take expected.json and pixels.f32 away to prune without comparing.`,
    );
  };
  const whole = async (file: string) => {
    const source = await files.open(file);
    return await source.read(0, source.size);
  };
  const parsed = ExpectedSchema.safeParse(json(await whole('expected.json')));
  if (!parsed.success) return refuse('expected.json has no "size" and "embedding" of numbers.');
  const { size, embedding } = parsed.data;
  const bytes = await whole('pixels.f32');
  const images = bytes.length / (4 * 3 * size * size);
  const flat = embedding.flat();
  if (!Number.isInteger(images) || images < 1 || flat.length === 0 || flat.length % images !== 0)
    return refuse(
      `pixels.f32 has ${bytes.length} bytes, which are no inputs of ${size} x ${size} for expected.json.`,
    );
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const pixels = Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
  return { images, size, pixels, embeddings: Float32Array.from(flat) };
}

function json(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
