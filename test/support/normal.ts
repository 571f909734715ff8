import { uniform } from './tiny-vit.ts';

/** Standard normal numbers (Box and Muller). */
export function normal(seed: number): () => number {
  const next = uniform(seed);
  const unit = () => Math.max(1e-9, (next() + 1) / 2);
  return () => Math.sqrt(-2 * Math.log(unit())) * Math.cos(2 * Math.PI * unit());
}
