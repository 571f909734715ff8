import { describe, expect, it } from 'vitest';
import { createRandom } from '../../../src/pruning/data/random.ts';
import {
  cropPixels,
  mirrored,
  planViews,
  randomCrop,
  type ViewSettings,
} from '../../../src/pruning/data/views.ts';
import { tinyConfig } from '../../support/tiny-vit.ts';

const SETTINGS: ViewSettings = {
  global: { count: 2, area: [0.25, 1] },
  local: { count: 10, area: [0.05, 0.25] },
  aspect: [3 / 4, 4 / 3],
  mode: 'independent',
};

describe('random resized crops', () => {
  it('stay inside the picture with the asked area and aspect', () => {
    const random = createRandom(1);
    const picture = { width: 500, height: 375 };
    for (let draw = 0; draw < 2000; draw++) {
      const crop = randomCrop(picture, [0.05, 0.25], [3 / 4, 4 / 3], random);
      expect(crop.left).toBeGreaterThanOrEqual(0);
      expect(crop.top).toBeGreaterThanOrEqual(0);
      expect(crop.left + crop.width).toBeLessThanOrEqual(picture.width);
      expect(crop.top + crop.height).toBeLessThanOrEqual(picture.height);
      const share = (crop.width * crop.height) / (picture.width * picture.height);
      // Sides are rounded to whole pixels: at these sizes by less than 1.2 % in area and 1.5 % in aspect.
      expect(share).toBeGreaterThan(0.05 * 0.988);
      expect(share).toBeLessThan(0.25 * 1.012);
      expect(crop.width / crop.height).toBeGreaterThan(0.75 * 0.985);
      expect(crop.width / crop.height).toBeLessThan((4 / 3) * 1.015);
    }
  });

  it('take the largest central crop when no drawn crop fits', () => {
    const crop = randomCrop({ width: 1000, height: 10 }, [0.9, 1], [3 / 4, 4 / 3], createRandom(1));
    expect(crop).toEqual({ left: 493, top: 0, width: 13, height: 10 });
  });

  it('are drawn for every view independently by default', () => {
    const plan = planViews({ width: 640, height: 480 }, SETTINGS, 3, 0);
    expect(plan.views).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    expect(new Set(plan.crops.map((crop) => JSON.stringify(crop))).size).toBe(12);
  });

  it('are shared by all global and by all local views in the reference mode', () => {
    const plan = planViews({ width: 640, height: 480 }, { ...SETTINGS, mode: 'reference' }, 3, 0);
    expect(plan.crops).toHaveLength(2);
    expect(plan.views).toEqual([0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
  });

  it('depend on the seed and the image and on nothing else', () => {
    const picture = { width: 640, height: 480 };
    expect(planViews(picture, SETTINGS, 3, 5)).toEqual(planViews(picture, SETTINGS, 3, 5));
    expect(planViews(picture, SETTINGS, 3, 5)).not.toEqual(planViews(picture, SETTINGS, 3, 6));
    expect(planViews(picture, SETTINGS, 3, 5)).not.toEqual(planViews(picture, SETTINGS, 4, 5));
  });
});

describe('the pixels of a crop', () => {
  const config = tinyConfig({
    imageSize: 16,
    patchSize: 8,
    preprocessing: { ...tinyConfig().preprocessing, mean: [0.5, 0.45, 0.4], std: [0.25, 0.22, 0.2] },
  });
  const size = config.imageSize;

  it('are the picture itself, normalised, when the crop has the size of the input', async () => {
    const random = createRandom(4);
    const [width, height] = [size + 5, size + 3];
    const data = Uint8Array.from({ length: width * height * 3 }, () => random.integer(256));
    const crop = { left: 2, top: 1, width: size, height: size };
    const pixels = await cropPixels({ width, height, data }, [crop], config);
    for (let channel = 0; channel < 3; channel++) {
      for (let y = 0; y < size; y++) {
        for (let x = 0; x < size; x++) {
          const byte = data[((y + 1) * width + x + 2) * 3 + channel] ?? 0;
          const [mean, std] = [
            config.preprocessing.mean[channel] ?? 0,
            config.preprocessing.std[channel] ?? 1,
          ];
          expect(pixels[(channel * size + y) * size + x]).toBeCloseTo((byte / 255 - mean) / std, 5);
        }
      }
    }
  });

  it('keep a linear ramp linear when they are enlarged', async () => {
    const side = 2 * size;
    const data = new Uint8Array(side * side * 3);
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) data.fill(4 * x + 20, (y * side + x) * 3, (y * side + x) * 3 + 3);
    }
    const half = size / 2;
    const crop = { left: half, top: half, width: half, height: half };
    const pixels = await cropPixels({ width: side, height: side, data }, [crop], config);
    const { mean, std } = config.preprocessing;
    // Away from the border, where the kernel sees replicated pixels, sample x of the output lies at (x + 0.5) / 2 - 0.5.
    for (let x = 4; x < size - 4; x++) {
      const byte = 4 * (half + (x + 0.5) / 2 - 0.5) + 20;
      const expected = (byte / 255 - mean[0]) / std[0];
      expect(Math.abs((pixels[half * size + x] ?? 0) - expected)).toBeLessThan(1.01 / 255 / std[0]);
    }
  });
});

describe('a mirrored picture', () => {
  it('has every row backwards', () => {
    expect([...mirrored(Float32Array.of(1, 2, 3, 4, 5, 6), 3)]).toEqual([3, 2, 1, 6, 5, 4]);
  });
});
