import type { Preprocessing } from './config.ts';
import { resamplePixel } from './kernels/pixels.ts';

/** For every output position the first input position that it reads and the weights of that and the following ones. */
export type Taps = readonly { readonly first: number; readonly weights: Float64Array }[];

interface Kernel {
  /** Half its width, in input pixels when enlarging. */
  readonly support: number;
  readonly at: (distance: number) => number;
}

const sinc = (x: number) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

const KERNELS: Readonly<Record<Preprocessing['interpolation'], Kernel>> = {
  bilinear: { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, at: (x) => cubic(x, -0.5) },
  lanczos: { support: 3, at: (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

/** Keys' cubic convolution kernel; a = -0.5 is Catmull-Rom's. */
export function cubic(x: number, a: number): number {
  const d = Math.abs(x);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((d - 5) * d + 8) * d * a - 4 * a : 0;
}

/**
 * The taps of a resampling with antialiasing, as Pillow's `resize` and PyTorch's `interpolate(antialias=True)` have
 * them: pixel centres at half positions, the kernel widened when the picture shrinks, weights normalised at the edges.
 * @param window the output positions wanted; all of them by default
 */
export function antialiasedTaps(
  from: number,
  to: number,
  interpolation: Preprocessing['interpolation'],
  window: { readonly start: number; readonly count: number } = { start: 0, count: to },
): Taps {
  const kernel = KERNELS[interpolation];
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = kernel.support * stretch;
  return Array.from({ length: window.count }, (_, at) => {
    const centre = (window.start + at + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(from, Math.trunc(centre + support + 0.5));
    const weights = Float64Array.from({ length: last - first }, (_, k) =>
      kernel.at((first + k - centre + 0.5) / stretch),
    );
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return { first, weights: weights.map((weight) => weight / total) };
  });
}

/** An RGB picture in memory. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** `[height, width, 3]` uint8 */
  readonly data: Uint8Array;
}

/** A rectangle of a picture, pixels. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/**
 * Resizes as Pillow does, rows first, then columns, each pass rounded to 8 bits; and computes only what lies in the box
 * (a line of a million pixels would be a million times as large when its short side is resized).
 * @param box in the resized picture
 */
export function resizePicture(
  { width, height, data }: Picture,
  to: { readonly width: number; readonly height: number },
  box: Box,
  interpolation: Preprocessing['interpolation'],
): Picture {
  const across = antialiasedTaps(width, to.width, interpolation, { start: box.left, count: box.width });
  const down = antialiasedTaps(height, to.height, interpolation, { start: box.top, count: box.height });
  const first = Math.min(...down.map((taps) => taps.first));
  const end = Math.max(...down.map((taps) => taps.first + taps.weights.length));
  const rows = new Uint8ClampedArray((end - first) * box.width * 3);
  for (let y = first; y < end; y++) {
    for (const [x, taps] of across.entries()) {
      resamplePixel(
        rows,
        ((y - first) * box.width + x) * 3,
        data,
        (y * width + taps.first) * 3,
        3,
        taps.weights,
      );
    }
  }
  const out = new Uint8ClampedArray(box.height * box.width * 3);
  for (const [y, taps] of down.entries()) {
    for (let x = 0; x < box.width; x++) {
      const start = ((taps.first - first) * box.width + x) * 3;
      resamplePixel(out, (y * box.width + x) * 3, rows, start, box.width * 3, taps.weights);
    }
  }
  return { width: box.width, height: box.height, data: new Uint8Array(out.buffer) };
}
