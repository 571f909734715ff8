/** Steps of the low plane in one of the high plane. */
const STEPS = 256;
/** Largest magnitude in the high plane, and in both together. */
const HIGHEST = 127;
const LARGEST = HIGHEST * STEPS;

/** Numbers of a row, and how many rows there are. */
export interface Rows {
  readonly length: number;
  readonly rows: number;
}

/** The largest magnitude in each column of a matrix. */
export function columnMaxima(data: Float32Array, width: number): Float32Array {
  const largest = new Float32Array(width);
  for (let i = 0; i < data.length; i++) {
    const column = i % width;
    largest[column] = Math.max(largest[column], Math.abs(data[i]));
  }
  return largest;
}

/** Splits rows into signed bytes and a scale for each; every number is rounded to the nearest that the planes can hold. */
export function splitRows(
  data: Float32Array,
  { length, rows }: Rows,
  columns: Float32Array = new Float32Array(length).fill(1),
): { high: Int8Array; low: Int8Array; scale: Float32Array } {
  const [high, low] = [new Int8Array(data.length), new Int8Array(data.length)];
  const scale = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const first = row * length;
    let largest = 0;
    for (let i = 0; i < length; i++) largest = Math.max(largest, Math.abs(data[first + i]) / columns[i]);
    scale[row] = largest / HIGHEST;
    // As it is stored: rounding to float32 must not change what the numbers mean.
    const step = scale[row] / STEPS;
    if (step === 0) continue;
    for (let i = 0; i < length; i++) {
      const at = first + i;
      const steps = Math.round(data[at] / columns[i] / step);
      const code = Math.max(-LARGEST, Math.min(LARGEST, steps));
      const rounded = Math.round(code / STEPS);
      high[at] = rounded;
      // Half a step up is rounded up, so that the rest lies in [-128, 127].
      low[at] = code - rounded * STEPS;
    }
  }
  return { high, low, scale };
}

/** `scale * column * (high + low / 256)`; without a low plane that is zero. */
export function joinRows(
  { high, low, scale }: { readonly high: Int8Array; readonly low?: Int8Array; readonly scale: Float32Array },
  { length, rows }: Rows,
  columns: Float32Array = new Float32Array(length).fill(1),
): Float32Array {
  const data = new Float32Array(high.length);
  for (let row = 0; row < rows; row++) {
    const factor = scale[row];
    for (let i = 0; i < length; i++) {
      const at = row * length + i;
      const code = low === undefined ? high[at] : high[at] + low[at] / STEPS;
      data[at] = factor * code * columns[i];
    }
  }
  return data;
}
