/** Rows and columns that are moved together: small enough for both sides to stay in the cache. */
const TILE = 32;

/** `[rows, columns]` to `[columns, rows]`. */
export function transpose(data: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(data.length);
  for (let top = 0; top < rows; top += TILE) {
    const bottom = Math.min(rows, top + TILE);
    for (let left = 0; left < columns; left += TILE) {
      const right = Math.min(columns, left + TILE);
      for (let c = left; c < right; c++) {
        for (let r = top; r < bottom; r++) out[c * rows + r] = data[r * columns + c];
      }
    }
  }
  return out;
}

/** Layer scale folded into the layer before it: `[inputs, D]` weights or `[D]` bias, times gamma `[D]`. Exact. */
export function scaleColumns(data: Float32Array, gamma: Float32Array): Float32Array {
  const out = new Float32Array(data.length);
  for (let row = 0; row < data.length; row += gamma.length) {
    for (let c = 0; c < gamma.length; c++) out[row + c] = data[row + c] * gamma[c];
  }
  return out;
}

export type Thirds = readonly [Float32Array, Float32Array, Float32Array];

/** Query, key and value matrices `[H * dh, D]` to `[H, 3, dh, D]` (with D = 1: their biases). */
export function interleaveHeads(parts: Thirds, heads: number, headDim: number, width: number): Float32Array {
  const rows = headDim * width;
  const out = new Float32Array(3 * heads * rows);
  parts.forEach((part, which) => {
    for (let h = 0; h < heads; h++) out.set(part.subarray(h * rows, (h + 1) * rows), (h * 3 + which) * rows);
  });
  return out;
}

/**
 * Query or key rows `[H * dh, columns]` in canonical rotary order: the first half of a head's dimensions turns with the second,
 * angles of rows before those of columns. The same order for queries and keys leaves their products as they are.
 */
export function canonicalRotary(
  data: Float32Array,
  { interleaved, columnsFirst }: { readonly interleaved: boolean; readonly columnsFirst: boolean },
  heads: number,
  headDim: number,
): Float32Array {
  const columns = data.length / (heads * headDim);
  const half = headDim / 2;
  const out = new Float32Array(data.length);
  for (let row = 0; row < heads * headDim; row++) {
    const dimension = row % headDim;
    const at = dimension % half;
    const angle = columnsFirst ? (at + half / 2) % half : at;
    const second = dimension >= half;
    const source = interleaved ? 2 * angle + Number(second) : angle + (second ? half : 0);
    const from = (row - dimension + source) * columns;
    out.set(data.subarray(from, from + columns), row * columns);
  }
  return out;
}

/** A fused tensor cut into query, key and value. */
export function thirds(data: Float32Array): Thirds {
  const third = data.length / 3;
  return [data.subarray(0, third), data.subarray(third, 2 * third), data.subarray(2 * third)];
}

/** Adds `more` to the numbers at the beginning of `sums`. */
export function addNumbers(sums: Float32Array, more: Float32Array): void {
  for (let at = 0; at < more.length; at++) sums[at] += more[at];
}
