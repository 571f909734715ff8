/** What an embedding may spend, and how it is to be given. */
export interface EmbedOptions {
  /** Target for the server's own time, ms. */
  readonly latency?: number;
  /** Share of the full network's FLOPs, (0, 1]. */
  readonly flops?: number;
  readonly gflops?: number;
  /** Exactly this level. */
  readonly level?: number;
  /** Never a level of lower published fidelity, (0, 1]. */
  readonly fidelity?: number;
  /** After so many ms the answer is worthless. */
  readonly deadline?: number;
  /** The best or the cheapest of the levels that satisfy the terms. @default 'cheapest' where `fidelity` is alone, otherwise 'best' */
  readonly aim?: 'best' | 'cheapest';
  /** Fail rather than exceed the latency target. @default false */
  readonly strict?: boolean;
  readonly model?: string;
  /** The first so many principal components. */
  readonly dimensions?: number;
  /** Scaled to length 1. @default true */
  readonly normalize?: boolean;
  /** The space that the embedding will be compared in: any other is refused. */
  readonly space?: string;
  readonly signal?: AbortSignal;
}

export type LimitedBy = 'none' | 'latency' | 'flops' | 'level' | 'tier' | 'pressure' | 'loading';

/** Arithmetic that a level was run in. */
export type Precision = 'fp32' | 'int8';

export interface Embedding {
  readonly embedding: Float32Array;
  readonly level: number;
  /** Share of the full network's FLOPs. */
  readonly flops: number;
  /** Published mean cosine to the full network's embedding. */
  readonly fidelity: number;
  readonly precision: Precision;
  /** Expected engine time, ms. */
  readonly predicted: number;
  readonly limitedBy: LimitedBy;
  /** `fetch`, `decode`, `queue`, `infer`, ms. */
  readonly timing: Readonly<Record<string, number>>;
  readonly requestId: string;
  /** Only embeddings of the same space can be compared: one for all levels and precisions of a network. */
  readonly space: string;
}

/** One of several images: an embedding, or what went wrong with it alone. */
export type EmbeddedItem =
  | {
      readonly embedding: Float32Array;
      readonly space: string;
      readonly level: number;
      readonly flops: number;
      readonly fidelity: number;
    }
  | { readonly error: { readonly code: string; readonly message: string } };

export interface Level {
  readonly level: number;
  readonly flops: number;
  readonly gflops: number;
  readonly params: number;
  readonly memory: number;
  readonly fidelity: number;
  readonly fidelity_p5: number;
  readonly predicted_ms?: number | undefined;
  readonly loaded: boolean;
  readonly heads: readonly number[];
  readonly channels: readonly number[];
  readonly merge: readonly number[];
  /** Query-key and value dimensions kept of every head, per block; absent where heads are left out as a whole. */
  readonly queries?: readonly number[] | undefined;
  readonly values?: readonly number[] | undefined;
  /** What the level is worth and takes in each arithmetic of the gateway; the members above are of fp32. */
  readonly precisions: Readonly<Partial<Record<Precision, Worth>>>;
}

export interface Worth {
  readonly fidelity: number;
  readonly fidelity_p5: number;
  readonly predicted_ms?: number | undefined;
}

export interface Model {
  readonly id: string;
  readonly digest: string;
  /** Only embeddings of the same space can be compared. */
  readonly embedding_space: string;
  readonly architecture: string;
  readonly image_size: number;
  readonly dimensions: number;
  readonly components: number;
  /** Of the full network: blocks, heads and channels of each, tokens of an image. */
  readonly blocks: {
    readonly depth: number;
    readonly heads: number;
    readonly channels: number;
    readonly tokens: number;
  };
  readonly ladder: readonly Level[];
}
