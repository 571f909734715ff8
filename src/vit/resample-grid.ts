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
  const taps = antialias ? antialiasedTaps(from, to) : plainTaps(from, to);
  const rows = new Float64Array(to * from * width);
  const out = new Float32Array(to * to * width);
  const addScaled = (
    target: Float64Array | Float32Array,
    at: number,
    source: Float32Array | Float64Array,
    start: number,
    weight: number,
  ) => {
    for (let i = 0; i < width; i++)
      target[at + i] = (target[at + i] ?? 0) + weight * (source[start + i] ?? 0);
  };
  for (const [y, weights] of taps.entries()) {
    for (const [source, weight] of weights) {
      for (let x = 0; x < from; x++) {
        addScaled(rows, (y * from + x) * width, grid, (source * from + x) * width, weight);
      }
    }
  }
  for (let y = 0; y < to; y++) {
    for (const [x, weights] of taps.entries()) {
      for (const [source, weight] of weights) {
        addScaled(out, (y * to + x) * width, rows, (y * from + source) * width, weight);
      }
    }
  }
  return out;
}

/** For every output position the input positions that it reads and their weights. */
type Taps = (readonly [source: number, weight: number])[][];

function plainTaps(from: number, to: number): Taps {
  return Array.from({ length: to }, (_, at) => {
    const centre = ((at + 0.5) * from) / to - 0.5;
    const first = Math.floor(centre) - 1;
    return [0, 1, 2, 3].map(
      (k) => [Math.min(from - 1, Math.max(0, first + k)), cubic(first + k - centre, -0.75)] as const,
    );
  });
}

function antialiasedTaps(from: number, to: number): Taps {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = 2 * stretch;
  return Array.from({ length: to }, (_, at) => {
    const centre = (at + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(from, Math.trunc(centre + support + 0.5));
    const weights = Array.from({ length: last - first }, (_, k) =>
      cubic((first + k - centre + 0.5) / stretch, -0.5),
    );
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return weights.map((weight, k) => [first + k, weight / total] as const);
  });
}

/** Keys' cubic convolution kernel. */
function cubic(x: number, a: number): number {
  const d = Math.abs(x);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((d - 5) * d + 8) * d * a - 4 * a : 0;
}
