import type { VitConfig } from '../vit/index.ts';

/** How the matrices of the units are computed in the int8 precision. */
export interface Quantisation {
  /**
   * Type of the weights' codes. Processors multiply unsigned activations by signed weights fastest where they have the
   * instruction for it; elsewhere the sums of that product may saturate, and unsigned weights are exact.
   */
  readonly weights: 'uint8' | 'int8';
  /** Matrices (`blocks.3.mlp.fc2`) that stay in fp32. */
  readonly keepFp32: ReadonlySet<string>;
}

/** The code of zero, where codes are unsigned. */
export const ZERO_CODE = 128;

/** The matrix that a tensor's values are of: `blocks.3.mlp.fc2` of `blocks.3.mlp.fc2.weight`. */
const matrixOf = (tensor: string): string => tensor.slice(0, -'.weight'.length);

/** Whether a unit tensor is computed in eight bits. */
export function isQuantised({ keepFp32 }: Quantisation, tensor: string): boolean {
  return tensor.endsWith('.weight') && !keepFp32.has(matrixOf(tensor));
}

/** What the activation functions never fall below, downwards rounded. */
const LEAST: Readonly<Record<VitConfig['activation'], number>> = {
  gelu: -0.16998,
  'gelu-tanh': -0.17005,
  'quick-gelu': -0.16362,
  silu: -0.27847,
};

/**
 * How far what `fc2` reads is moved up before it is rounded, so that none of its numbers is negative and all eight bits
 * hold magnitude; 0 where there is no bound (the two branches of a gated MLP).
 */
export function hiddenShift({ mlp, activation }: VitConfig): number {
  return mlp === 'plain' ? -LEAST[activation] : 0;
}
