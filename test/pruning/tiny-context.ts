import { createAnalysis } from '../../src/engine/index.ts';
import { silent } from '../../src/progress/index.ts';
import type { ImageSet, Picture, PruningContext } from '../../src/pruning/contracts.ts';
import { createRandom } from '../../src/pruning/data/random.ts';
import { memorySteps } from '../../src/pruning/steps/step-store.ts';
import type { VitConfig } from '../../src/vit/index.ts';
import { tinyConfig, tinyTensors } from '../support/tiny-vit.ts';

/** Random pictures larger than the input; their pixels are what lies in the top left corner. */
export function randomImages(config: VitConfig, count: number, seed: number): ImageSet {
  const [width, height] = [config.imageSize + 9, config.imageSize + 5];
  const pictures = Array.from({ length: count }, (_, index): Picture => {
    const random = createRandom(seed, 'picture', index);
    return {
      width,
      height,
      data: Uint8Array.from({ length: width * height * 3 }, () => random.integer(256)),
    };
  });
  const size = config.imageSize;
  return {
    count,
    async pixels(indices) {
      const pixels = new Float32Array(indices.length * 3 * size * size);
      for (const [at, index] of indices.entries()) {
        for (let k = 0; k < 3 * size * size; k++) {
          const [channel, y, x] = [Math.floor(k / size ** 2), Math.floor(k / size) % size, k % size];
          const byte = pictures[index]?.data[(y * width + x) * 3 + channel] ?? 0;
          pixels[at * 3 * size * size + k] = byte / 127.5 - 1;
        }
      }
      return pixels;
    },
    async picture(index) {
      const picture = pictures[index];
      if (!picture) throw new RangeError(`no picture ${index}`);
      return picture;
    },
  };
}

/** A context around a tiny random network on the real engine. Dispose `context.model` afterwards. */
export async function tinyContext(
  changes: Partial<VitConfig> = {},
  counts: { fit: number; held: number } = { fit: 6, held: 4 },
): Promise<PruningContext> {
  const config = tinyConfig({ channels: 20, ...changes });
  const tensors = tinyTensors(config);
  return {
    config,
    tensors,
    model: await createAnalysis({ device: 'cpu', config, tensors, workers: 2 }),
    device: 'cpu',
    images: { fit: randomImages(config, counts.fit, 1), held: randomImages(config, counts.held, 2) },
    seed: 7,
    report: silent,
    steps: memorySteps(),
  };
}
