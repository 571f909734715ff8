import { elementOf } from '../vit/index.ts';
import { cosines, nearest, normalised, type Vectors } from './kernels/vectors.ts';

/** Mean and 5th percentile of the cosine to the full network's embeddings. */
export function fidelity(level: Vectors, full: Vectors): { mean: number; p5: number } {
  const sorted = cosines(level, full).toSorted();
  const mean = sorted.reduce((sum, value) => sum + value, 0) / Math.max(1, sorted.length);
  return { mean, p5: sorted[Math.floor(0.05 * (sorted.length - 1))] ?? Number.NaN };
}

/**
 * k-NN top-1: the majority among the `k` nearest by cosine (as Simoncini et al. 2025 evaluate: k = 20, train split as the gallery);
 * ties go to the class of smaller number.
 */
export function knnTop1(
  gallery: Vectors,
  galleryLabels: readonly number[],
  queries: Vectors,
  queryLabels: readonly number[],
  k = 20,
): number {
  const found = nearest(normalised(queries), normalised(gallery), k);
  const hits = found.filter((indices, query) => {
    const votes = new Map<number, number>();
    for (const index of indices) {
      const label = elementOf(galleryLabels, index);
      votes.set(label, (votes.get(label) ?? 0) + 1);
    }
    const [winner] = [...votes].sort(([a, m], [b, n]) => n - m || a - b);
    return winner?.[0] === queryLabels[query];
  });
  return hits.length / Math.max(1, found.length);
}

/**
 * Cross-budget retrieval: the gallery was embedded by the full network, the queries at a level. Of each query the picture that
 * the full network finds first is looked for among the first `k`.
 * @returns the share of queries that find it, for each `k`
 */
export function crossBudgetRecall(
  gallery: Vectors,
  queriesAtFull: Vectors,
  queriesAtLevel: Vectors,
  ks: readonly number[],
): number[] {
  const reference = normalised(gallery);
  const wanted = nearest(normalised(queriesAtFull), reference, 1).map((found) => elementOf(found, 0));
  const found = nearest(normalised(queriesAtLevel), reference, Math.max(...ks));
  return ks.map(
    (k) =>
      found.filter((indices, query) => indices.slice(0, k).includes(elementOf(wanted, query))).length /
      Math.max(1, found.length),
  );
}
