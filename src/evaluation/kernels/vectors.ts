/** Vectors of one width, one after another. */
export interface Vectors {
  readonly width: number;
  readonly count: number;
  /** `[count, width]` */
  readonly data: Float32Array;
}

/** Every vector scaled to length 1; a zero vector stays zero. */
export function normalised({ width, count, data }: Vectors): Vectors {
  const out = new Float32Array(data.length);
  for (let i = 0; i < count; i++) {
    let squares = 0;
    for (let j = 0; j < width; j++) squares += data[i * width + j] ** 2;
    const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0;
    for (let j = 0; j < width; j++) out[i * width + j] = data[i * width + j] * scale;
  }
  return { width, count, data: out };
}

/** Cosine of the i-th vectors of two sets. @returns `[count]` */
export function cosines(a: Vectors, b: Vectors): Float64Array {
  const [x, y] = [normalised(a), normalised(b)];
  return Float64Array.from({ length: x.count }, (_, i) => dot(x, i, y, i));
}

/** For every query the indices of its `k` nearest by cosine, nearest first; ties go to the smaller index. Vectors of length 1. */
export function nearest(queries: Vectors, gallery: Vectors, k: number): number[][] {
  return Array.from({ length: queries.count }, (_, q) => {
    const similarity = Float64Array.from({ length: gallery.count }, (_, g) => dot(queries, q, gallery, g));
    return Array.from(similarity.keys())
      .sort((a, b) => similarity[b] - similarity[a] || a - b)
      .slice(0, k);
  });
}

function dot(a: Vectors, i: number, b: Vectors, j: number): number {
  let sum = 0;
  for (let d = 0; d < a.width; d++) sum += a.data[i * a.width + d] * b.data[j * b.width + d];
  return sum;
}
