import type { VitConfig } from '../../vit/index.ts';
import { cropPicture } from '../../vit/node.ts';
import type { Picture } from '../contracts.ts';
import { createRandom, type Random } from './random.ts';

/** How many crops of which area a picture gives. Areas are shares of the picture. */
export interface ViewSettings {
  readonly global: { readonly count: number; readonly area: readonly [number, number] };
  readonly local: { readonly count: number; readonly area: readonly [number, number] };
  /** Width over height, drawn log-uniformly. */
  readonly aspect: readonly [number, number];
  /**
   * `independent`: every view is a crop of its own. `reference`: one crop serves all global views and one all local
   * views, as in the authors' implementation, where the crop is applied to the stacked views at once.
   */
  readonly mode: 'independent' | 'reference';
}

export interface Crop {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** The views of one picture. Views that share a crop are embedded once. */
export interface ViewPlan {
  /** Distinct crops. */
  readonly crops: readonly Crop[];
  /** Index into `crops` of every view; the global views first. */
  readonly views: readonly number[];
}

/** Draws the views of one picture (Simoncini et al. 2025, section 3). The same seed and image give the same crops. */
export function planViews(
  picture: Pick<Picture, 'width' | 'height'>,
  settings: ViewSettings,
  seed: number,
  image: number,
): ViewPlan {
  const random = createRandom(seed, 'views', image);
  const crops: Crop[] = [];
  const views: number[] = [];
  for (const { count, area } of [settings.global, settings.local]) {
    for (let view = 0; view < count; view++) {
      if (settings.mode === 'independent' || view === 0) {
        crops.push(randomCrop(picture, area, settings.aspect, random));
      }
      views.push(crops.length - 1);
    }
  }
  return { crops, views };
}

/** Tries to place a crop of the drawn area and aspect before the largest central one is taken. */
const ATTEMPTS = 10;

/** Random-resized-crop as everybody does it (Szegedy et al. 2015; torchvision's `RandomResizedCrop`). */
export function randomCrop(
  picture: Pick<Picture, 'width' | 'height'>,
  area: readonly [number, number],
  aspect: readonly [number, number],
  random: Random,
): Crop {
  const { width: fullWidth, height: fullHeight } = picture;
  const [low, high] = [Math.log(aspect[0]), Math.log(aspect[1])];
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const pixels = fullWidth * fullHeight * (area[0] + (area[1] - area[0]) * random.uniform());
    const ratio = Math.exp(low + (high - low) * random.uniform());
    const width = Math.round(Math.sqrt(pixels * ratio));
    const height = Math.round(Math.sqrt(pixels / ratio));
    if (width >= 1 && height >= 1 && width <= fullWidth && height <= fullHeight) {
      const top = random.integer(fullHeight - height + 1);
      const left = random.integer(fullWidth - width + 1);
      return { left, top, width, height };
    }
  }
  return centralCrop(picture, aspect);
}

/** The largest central crop whose aspect is allowed. */
function centralCrop(
  { width, height }: Pick<Picture, 'width' | 'height'>,
  aspect: readonly [number, number],
): Crop {
  const ratio = Math.min(Math.max(width / height, aspect[0]), aspect[1]);
  const cropWidth = Math.max(1, Math.min(width, Math.round(height * ratio)));
  const cropHeight = Math.max(1, Math.min(height, Math.round(width / ratio)));
  return {
    left: Math.floor((width - cropWidth) / 2),
    top: Math.floor((height - cropHeight) / 2),
    width: cropWidth,
    height: cropHeight,
  };
}

/**
 * Cuts the crops out and resizes each to the network's input, as its own preprocessing does.
 * @returns `[crops.length, 3, size, size]` float32, normalised
 */
export async function cropPixels(
  picture: Picture,
  crops: readonly Crop[],
  config: VitConfig,
): Promise<Float32Array> {
  const size = 3 * config.imageSize ** 2;
  const pixels = new Float32Array(crops.length * size);
  for (const [index, crop] of crops.entries()) {
    pixels.set(await cropPicture(picture, crop, config), index * size);
  }
  return pixels;
}

/** Left and right swapped. @param pixels rows of `width` numbers, as `[3, size, size]` has them */
export function mirrored(pixels: Float32Array, width: number): Float32Array {
  const swapped = new Float32Array(pixels.length);
  for (let row = 0; row < pixels.length; row += width)
    swapped.set(pixels.subarray(row, row + width).toReversed(), row);
  return swapped;
}
