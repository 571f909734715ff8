import type { GraphBuilder, Value } from './graph.ts';
import type { Linear } from './layers.ts';

/** Half of a block up to its last layer: `attn.proj` reads the context of attention, `mlp.fc2` the hidden channels. */
export interface Half<Gradients extends HalfGradients = HalfGradients> {
  /** What the last layer reads, `[rows, inputs]`. */
  readonly activations: Value;
  /** dL/d(activations) to the derivatives of what they were made from. */
  readonly backward: (gradient: Value) => Gradients;
}

/** Each adds its nodes when it is asked for, so that a graph carries no others. */
export interface HalfGradients {
  /** dL/d(rows of the stream that the norm reads), `[rows, D]`. */
  readonly rows: () => Value;
  /** dL/d(weights whose rows are units), summed over all rows: `fc1` `[M, D]`, or the values' `[H * dh, D]`. */
  readonly unitWeights: () => Value;
}

/** What half of a block adds to the residual stream: its last layer. Where no unit is kept, that layer's bias is all of it. */
export interface Branch<H extends Half> {
  readonly half: H | undefined;
  /** `[rows, D]`, or `[D]` where no unit is kept. */
  readonly output: Value;
  /** dL/d(output), `[rows, D]`, to the derivatives inside the branch. */
  readonly backward: (gradient: Value) => BranchGradients<H>;
}

export interface BranchGradients<H extends Half> {
  /** dL/d(bias of the last layer) `[D]`. */
  readonly bias: () => Value;
  /** What there is besides where a unit is kept. */
  readonly kept:
    | {
        /** dL/d(weight of the last layer) `[inputs, D]`. */
        readonly weight: () => Value;
        /** dL/d(activations) `[rows, inputs]`. */
        readonly activations: Value;
        readonly half: ReturnType<H['backward']>;
      }
    | undefined;
}

/** Puts the last layer behind a half. @param bias of that layer */
export function branch<H extends Half>(
  g: GraphBuilder,
  half: H | undefined,
  bias: Value,
  lastLayer: (activations: Value) => Linear,
): Branch<H> {
  const last = half && lastLayer(half.activations);
  return {
    half,
    output: last?.output ?? bias,
    backward: (gradient) => {
      const ofBias = () => g.op('ReduceSum', [gradient, g.ints(0)], { keepdims: 0 });
      if (!half || !last) return { bias: ofBias, kept: undefined };
      const activations = last.backward(gradient);
      const inside = half.backward(activations) as ReturnType<H['backward']>; // what that method gives
      const weight = () => last.weightGradient(gradient);
      return { bias: ofBias, kept: { weight, activations, half: inside } };
    },
  };
}
