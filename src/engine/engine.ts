import type { LevelWeights, Precision } from '../checkpoint/index.ts';
import type { TensorMap, UnitOrder, Variant, VitConfig } from '../vit/index.ts';

/** What runs levels of a ladder; `createModel` starts one on any device of `providers.ts`. */
export interface ElasticModel {
  readonly config: VitConfig;
  /** The levels' variants, smallest first; the last is the full network. */
  readonly variants: readonly Variant[];
  /** What levels can be computed in here; at least one. */
  readonly precisions: readonly Precision[];
  /** Images that can be in work at the same time: the number of engine workers. */
  readonly concurrency: number;
  /** Highest level whose weights have been installed; -1 before the first. */
  readonly loaded: number;

  /**
   * Brings the weights of one more level: every canonical tensor rows `[first, first + rows)` that the level adds to
   * the ones before it. Levels arrive in order. Requests that are running are not disturbed.
   */
  install(increment: LevelWeights): Promise<void>;

  /**
   * Embeds images at a level.
   * @param pixels `[count, 3, size, size]` float32, normalised
   * @returns `[count, embeddingWidth]` float32, pooled, not L2-normalised; the answer for an image does not depend on the
   *   images beside it
   * @throws Problem('level-not-loaded'), Problem('aborted') when the signal fires before the work is started,
   *   Problem('engine-failed') when the worker died (it is replaced)
   */
  embed(pixels: Float32Array, count: number, options: EmbedOptions): Promise<Float32Array>;

  /** Lets running work finish, then frees workers and native memory. Idempotent. */
  dispose(): Promise<void>;
}

export interface EmbedOptions {
  readonly level: number;
  /** @default 'fp32' */
  readonly precision?: Precision;
  readonly signal?: AbortSignal;
  /** A run that takes longer than this counts as hung: its worker is replaced. @default the engine's own limit */
  readonly timeoutMs?: number;
}

/**
 * What pruning and evaluation need beyond serving: any variant of one network, off the ladder, with any tensors
 * replaced; vector-Jacobian products; the activations that corrections are fitted on.
 *
 * All arrays are batch-first. `T` is the number of tokens at that place.
 */
export interface AnalysisModel extends DenseProducts {
  readonly config: VitConfig;

  /**
   * Embeds with any variant. `units` gives the order of units in each block (default: as stored); the variant keeps a
   * prefix of that order. `replaced` overrides canonical tensors for this call, already cut to the kept units.
   * @returns `[count, embeddingWidth]`
   */
  embed(pixels: Float32Array, count: number, network?: AnalysisVariant): Promise<Float32Array>;

  /**
   * Vector-Jacobian products of the pooled embedding of the full network.
   * @param cotangents `[count, embeddingWidth]`, dL/d(embedding) of every image
   */
  gradients(
    pixels: Float32Array,
    count: number,
    cotangents: Float32Array,
    wanted: GradientRequest,
  ): Promise<Gradients>;

  /**
   * Vector-Jacobian products of the pooled embedding of any variant with respect to `attn.proj` and `mlp.fc2` of its blocks,
   * summed over the images. Which tokens merge counts as fixed.
   * @param cotangents `[count, embeddingWidth]`, dL/d(embedding) of every image
   */
  lastLayerGradients(
    pixels: Float32Array,
    count: number,
    cotangents: Float32Array,
    network: AnalysisVariant,
    wanted: LastLayerRequest,
  ): Promise<LastLayerGradients>;

  /**
   * Tokens of the residual stream before the first block.
   * @returns `[count, T, D]`
   */
  embedTokens(pixels: Float32Array, count: number): Promise<Float32Array>;

  /**
   * One half of a block on given tokens: what its last layer reads, `attn.proj` or `mlp.fc2`, or its first one.
   * @param stream `[count, T, D]` residual stream that enters the half block
   * @returns of a last layer `[count, T, h * dh]` or `[count, T, m]`, where dimensions are units `[count, T, v * H]`; of a first
   *   one `[count, T, D]`, the stream after the norm
   */
  activations(
    stream: Float32Array,
    count: number,
    place: ActivationPlace,
    network?: AnalysisVariant,
  ): Promise<Float32Array>;

  /**
   * Merges tokens between the halves of a block, as its forward pass does.
   * @returns the merged stream, and which tokens went where
   * @throws Problem('tensor-mismatch') where so many cannot merge, or a rotary network's tokens have merged before: they keep positions
   *   that the stream alone does not tell
   */
  merge(
    streams: MergeStreams,
    count: number,
    place: { readonly block: number; readonly removed: number },
    network?: AnalysisVariant,
  ): Promise<MergedStream>;

  dispose(): Promise<void>;
}

export interface ActivationPlace {
  readonly block: number;
  readonly part: 'attention' | 'mlp';
  /** @default 'last' */
  readonly layer?: 'first' | 'last';
  /**
   * `[count, T]`: how many patches each token stands for, where some were merged; attention counts them. Not for rotary
   * networks, whose merged tokens keep positions that the stream alone does not tell.
   */
  readonly sizes?: Float32Array;
}

/** Dense float32 products on the device of an engine. Matrices are row-major. */
export interface DenseProducts {
  /** `A B` for `[rows, inner]` and `[inner, columns]`. */
  product(
    a: Float32Array,
    b: Float32Array,
    size: { readonly rows: number; readonly inner: number; readonly columns: number },
  ): Promise<Float32Array>;
  /** `A' B` for `[rows, left]` and `[rows, right]`: `[left, right]`. */
  gram(
    a: Float32Array,
    b: Float32Array,
    size: { readonly rows: number; readonly left: number; readonly right: number },
  ): Promise<Float32Array>;
}

/** The residual stream around the attention of a block. */
export interface MergeStreams {
  /** `[count, T, D]` before it: the queries and keys that tokens merge by are made of this. */
  readonly entering: Float32Array;
  /** `[count, T, D]` after it: what is merged. */
  readonly stream: Float32Array;
  /** `[count, T]`: how many patches each token stands for, where some were merged before. */
  readonly sizes?: Float32Array | undefined;
}

export interface MergedStream {
  /** `[count, T - removed, D]`; what stays keeps its order. */
  readonly stream: Float32Array;
  /** `[count, T - removed]`: how many patches each token stands for now. */
  readonly sizes: Float32Array;
  /** Positions before the merge, `[count, removed]` each: the tokens that went, and those that they went into. */
  readonly from: Int32Array;
  readonly to: Int32Array;
  /** What each that went weighs in the token that it went into, `[count, removed]`. */
  readonly shares: Float32Array;
}

export interface AnalysisVariant {
  readonly variant: Variant;
  /** Unit order per block, most important first; absent: the order as stored. */
  readonly units?: UnitOrder;
  /** Canonical tensors that take the place of the network's, already in the variant's order and cut to its counts. */
  readonly replaced?: TensorMap;
}

export interface GradientRequest {
  /**
   * dL/d(fc1.weight) `[M, D]` and dL/d(value rows of qkv) `[H, dh, D]` (where dimensions are units `[dh, H, D]`) per block,
   * summed over the batch.
   */
  readonly weights?: boolean;
  /**
   * dL/d(gate) of a gate multiplied onto every head's output and every channel's activation, per image; where dimensions are
   * units onto every value dimension of the heads' outputs and onto every dimension of their queries.
   */
  readonly gates?: boolean;
  /** With `gates`: mean activations that are subtracted before the product (a gate that closes onto the mean). */
  readonly centre?: ActivationMeans;
}

export interface LastLayerRequest {
  /** Of the weights too, not the biases alone. */
  readonly weights: boolean;
}

/** Derivatives with respect to the last layers of the two halves of every block, per block. */
export interface LastLayerGradients {
  /** dL/d(bias) `[D]` */
  readonly biases: BothHalves;
  /** dL/d(weight) `[kept inputs, D]`, empty where no unit is kept; present when `weights` was asked for. */
  readonly weights?: BothHalves;
}

/** One array per block of `attn.proj` and of `mlp.fc2`. */
export interface BothHalves {
  readonly attention: readonly Float32Array[];
  readonly mlp: readonly Float32Array[];
}

/** Mean of what `attn.proj` and `mlp.fc2` read, over images and tokens, per block: `[H * dh]` and `[M]`. */
export interface ActivationMeans {
  readonly heads: readonly Float32Array[];
  readonly channels: readonly Float32Array[];
}

export interface Gradients {
  /** `[count, embeddingWidth]`: the forward pass comes for free. */
  readonly embeddings: Float32Array;
  /** Per block `[M, D]`; present when `weights` was asked for. */
  readonly fc1?: readonly Float32Array[];
  /** Per block `[H, dh, D]`. */
  readonly value?: readonly Float32Array[];
  /** Per block `[count, M]`; present when `gates` was asked for. */
  readonly channelGates?: readonly Float32Array[];
  /** Per block `[count, H]`; where dimensions are units `[count, dh]` of both their kinds in place of it. */
  readonly headGates?: readonly Float32Array[];
  readonly queryGates?: readonly Float32Array[];
  readonly valueGates?: readonly Float32Array[];
}
