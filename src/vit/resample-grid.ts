import { addWeighted } from './kernels/pixels.ts';
import { antialiasedTaps, cubic, type Taps } from './resampling.ts';

/**
 * Bicubic resampling of a square grid of vectors, as PyTorch's `F.interpolate(mode='bicubic', align_corners=False)` does
 * it: for position embeddings at another input size.
 * @param grid `[from, from, width]`
 * @param options.antialias with it the kernel is Catmull-Rom's (a = -0.5) and widens when the grid shrinks (timm);
 *   without it a = -0.75 over four neighbours (transformers)
 * @returns `[to, to, width]`
 */
export function resampleGrid(
  grid: Float32Array,
  { from, to, width, antialias }: { from: number; to: number; width: number; antialias: boolean },
): Float32Array {
  const taps = antialias ? antialiasedTaps(from, to, 'bicubic') : plainTaps(from, to);
  const clamp = (at: number) => Math.min(from - 1, Math.max(0, at));
  const rows = new Float64Array(to * from * width);
  for (const [y, { first, weights }] of taps.entries()) {
    for (const [k, weight] of weights.entries()) {
      const source = clamp(first + k) * from * width;
      const target = y * from * width;
      addWeighted(rows, target, grid, source, from * width, weight);
    }
  }
  const out = new Float64Array(to * to * width);
  for (let y = 0; y < to; y++) {
    for (const [x, { first, weights }] of taps.entries()) {
      for (const [k, weight] of weights.entries()) {
        const source = (y * from + clamp(first + k)) * width;
        const target = (y * to + x) * width;
        addWeighted(out, target, rows, source, width, weight);
      }
    }
  }
  return Float32Array.from(out);
}

/** Four neighbours, those beyond the edge repeated: `first` may be negative. */
function plainTaps(from: number, to: number): Taps {
  return Array.from({ length: to }, (_, at) => {
    const centre = ((at + 0.5) * from) / to - 0.5;
    const first = Math.floor(centre) - 1;
    return { first, weights: Float64Array.from({ length: 4 }, (_, k) => cubic(first + k - centre, -0.75)) };
  });
}
