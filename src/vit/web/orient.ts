import { overWhite } from '../kernels/pixels.ts';
import type { Picture } from '../resampling.ts';

/**
 * Colours over white, without alpha, as libvips flattens: `(colour * alpha + 255 * (255 - alpha)) / 255`, rounded down.
 * @param rgba `[height, width, 4]` uint8
 */
export function flatten(rgba: Uint8ClampedArray, width: number, height: number): Picture {
  return { width, height, data: overWhite(rgba, width * height) };
}

/** Turns and mirrors a picture the way its EXIF orientation asks for. */
export function orient(picture: Picture, orientation: number): Picture {
  if (orientation === 1) return picture;
  const turned = orientation >= 5;
  const width = turned ? picture.height : picture.width;
  const height = turned ? picture.width : picture.height;
  const data = new Uint8Array(picture.data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [sourceX, sourceY] = source(orientation, x, y, width, height);
      const from = (sourceY * picture.width + sourceX) * 3;
      data.set(picture.data.subarray(from, from + 3), (y * width + x) * 3);
    }
  }
  return { width, height, data };
}

/** Where the pixel at `(x, y)` of the upright picture lies in the stored one (TIFF 6.0, tag 274). */
function source(
  orientation: number,
  x: number,
  y: number,
  width: number,
  height: number,
): readonly [number, number] {
  const [right, bottom] = [width - 1 - x, height - 1 - y];
  switch (orientation) {
    case 2:
      return [right, y];
    case 3:
      return [right, bottom];
    case 4:
      return [x, bottom];
    case 5:
      return [y, x];
    case 6:
      return [y, right];
    case 7:
      return [bottom, right];
    default:
      return [bottom, x];
  }
}
