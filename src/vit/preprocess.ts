import type { VitConfig } from './config.ts';
import { elementOf } from './holes.ts';
import { lookUpChannel } from './kernels/pixels.ts';

/** Where an image is resized to, and which part of it is cut out. */
export interface CropGeometry {
  readonly resizeWidth: number;
  readonly resizeHeight: number;
  readonly left: number;
  readonly top: number;
  /** Side of the square that is cut out. */
  readonly size: number;
}

/**
 * The geometry of evaluation preprocessing, as timm and torchvision define it: the short side is resized to
 * `floor(size / cropPct)`, the long side in proportion (rounded down, as torchvision's `Resize` does; `squash`: to the same),
 * then the centre is cut out (offsets rounded to nearest even, as torchvision's `CenterCrop` does).
 */
export function cropGeometry(config: VitConfig, width: number, height: number): CropGeometry {
  const size = config.imageSize;
  // A share given as 224/248 must not come out as 247.999.
  const short = Math.max(size, Math.floor(size / config.preprocessing.cropPct + 1e-9));
  if (config.preprocessing.cropMode === 'squash') {
    const start = roundHalfEven((short - size) / 2);
    return { resizeWidth: short, resizeHeight: short, left: start, top: start, size };
  }
  const scale = short / Math.min(width, height);
  const resizeWidth = width <= height ? short : Math.max(short, Math.floor(width * scale));
  const resizeHeight = width <= height ? Math.max(short, Math.floor(height * scale)) : short;
  return {
    resizeWidth,
    resizeHeight,
    left: roundHalfEven((resizeWidth - size) / 2),
    top: roundHalfEven((resizeHeight - size) / 2),
    size,
  };
}

/**
 * Pixels to network input: `(value / 255 - mean) / std`, channels first.
 * @param rgb `[size, size, 3]` uint8
 * @param out `[3, size, size]` float32, written
 */
export function normalise(rgb: Uint8Array, config: VitConfig, out: Float32Array): Float32Array {
  const plane = config.imageSize ** 2;
  for (let channel = 0; channel < 3; channel++) {
    const own = out.subarray(channel * plane, (channel + 1) * plane);
    lookUpChannel(rgb, channel, normalised(config, channel), own);
  }
  return out;
}

/** The 256 values that a channel can have: looking them up takes half the time of computing each. */
function normalised({ preprocessing }: VitConfig, channel: number): Float32Array {
  const [mean, std] = [elementOf(preprocessing.mean, channel), elementOf(preprocessing.std, channel)];
  const scale = 1 / (255 * std);
  const shift = -mean / std;
  return Float32Array.from({ length: 256 }, (_, value) => value * scale + shift);
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + (floor & 1) : Math.round(value);
}
