/**
 * Linear centred kernel alignment (Kornblith, Norouzi, Lee & Hinton, ICML 2019) between representations of the same
 * samples: `|Y'X|^2 / (|X'X| |Y'Y|)` with centred columns, computed from the samples' Gram matrices.
 * @param representations `[samples, features]` each; the number of features may differ
 * @returns symmetric matrix, row-major; 0 beside a representation that is constant, 1 on the diagonal
 */
export function ckaMatrix(
  representations: readonly { readonly data: ArrayLike<number>; readonly features: number }[],
  samples: number,
): Float64Array {
  const grams = representations.map(({ data, features }) => unitGram(data, samples, features));
  const n = grams.length;
  const matrix = new Float64Array(n * n);
  for (const [i, a] of grams.entries()) {
    for (const [j, b] of grams.entries()) {
      if (j > i) continue;
      let alignment = 0;
      for (let at = 0; at < a.length; at++) alignment += a[at] * b[at];
      matrix[i * n + j] = matrix[j * n + i] = i === j ? 1 : alignment;
    }
  }
  return matrix;
}

/** `X X'` of the centred columns, scaled to Frobenius norm 1 (0 when X is constant). */
function unitGram(data: ArrayLike<number>, samples: number, features: number): Float64Array {
  const centred = Float64Array.from(data);
  for (let k = 0; k < features; k++) {
    let mean = 0;
    for (let row = 0; row < samples; row++) mean += centred[row * features + k] / samples;
    for (let row = 0; row < samples; row++) {
      centred[row * features + k] -= mean;
    }
  }
  const gram = new Float64Array(samples * samples);
  let squares = 0;
  for (let i = 0; i < samples; i++) {
    for (let j = 0; j < samples; j++) {
      let dot = 0;
      for (let k = 0; k < features; k++) {
        dot += centred[i * features + k] * centred[j * features + k];
      }
      gram[i * samples + j] = dot;
      squares += dot * dot;
    }
  }
  return squares > 0 ? gram.map((value) => value / Math.sqrt(squares)) : gram;
}
