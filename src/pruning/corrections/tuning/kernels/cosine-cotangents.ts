/**
 * dL/de of every row for `L = mean over rows of 1 - cos(e, t)`: `(e_hat (e_hat . t_hat) - t_hat) / (|e| rows)`. Zero where
 * one of the two is zero.
 * @param embeddings `[rows, width]`
 * @param targets `[rows, width]`
 */
export function cosineCotangents(
  embeddings: ArrayLike<number>,
  targets: ArrayLike<number>,
  width: number,
): Float32Array {
  const cotangents = new Float32Array(embeddings.length);
  const rows = embeddings.length / width;
  for (let first = 0; first < embeddings.length; first += width) {
    let [ee, tt, et] = [0, 0, 0];
    for (let at = first; at < first + width; at++) {
      const [e, t] = [embeddings[at], targets[at]];
      ee += e * e;
      tt += t * t;
      et += e * t;
    }
    if (ee === 0 || tt === 0) continue;
    const [own, wanted] = [Math.sqrt(ee), Math.sqrt(tt)];
    for (let at = first; at < first + width; at++) {
      const along = (embeddings[at] / own) * (et / (own * wanted));
      cotangents[at] = (along - targets[at] / wanted) / (own * rows);
    }
  }
  return cotangents;
}
