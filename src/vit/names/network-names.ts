/** Where a source keeps the parts of a network: names of modules (`norm1` has `norm1.weight` and `norm1.bias`) unless said otherwise. */
export interface NetworkNames {
  /** Patch projection; its bias may be missing. */
  readonly patch: string;
  /** Tensors of the prefix tokens. */
  readonly cls?: string;
  readonly distillation?: string;
  readonly registers?: string;
  readonly positions?: PositionNames;
  /** LayerNorm between embedding and blocks (CLIP). */
  readonly preNorm?: string;
  readonly block: (index: number) => BlockNames;
  /** How the dimensions of queries and keys lie in the source, where a rotary embedding turns them. */
  readonly rotary?: RotaryLayout;
  readonly norm?: string;
  readonly pool?: AttentionPoolNames;
  /** Tensor `[embeddingWidth, D]` of the final projection. */
  readonly projection?: string;
  readonly head?: string;
}

/** Canonical are halves (`j` turns with `j + dh / 2`), rows before columns. */
export interface RotaryLayout {
  /** `2 j` turns with `2 j + 1`. */
  readonly interleaved: boolean;
  /** Angles of columns come before those of rows. */
  readonly columnsFirst: boolean;
}

export interface PositionNames {
  /** Tensor `[rows, D]`; rows for prefix tokens come first, if it has any. */
  readonly table: string;
  /** Which tokens have rows: patches alone, all, or all but registers. */
  readonly rows: 'patches' | 'all' | 'without-registers';
  /** How the source itself resamples the table at another input size. */
  readonly antialias: boolean;
  /** The source resamples it in a way that is not done here: another size is refused. */
  readonly fixed?: boolean;
}

export interface BlockNames {
  readonly norm1: string;
  readonly norm2: string;
  /** One fused projection, or three. */
  readonly qkv: string | { readonly query: string; readonly key: string; readonly value: string };
  /** Tensors of the biases where they are not the projections' own (keys without one: masked, zero). */
  readonly qkvBias?: { readonly query: string; readonly value: string };
  readonly proj: string;
  readonly fc1: string;
  /** The multiplied branch of a gated MLP; `packed`: it is the second half of `fc1`. */
  readonly gate?: string | 'packed';
  readonly fc2: string;
  /** Tensors of layer scale. */
  readonly scale1?: string;
  readonly scale2?: string;
}

export interface AttentionPoolNames {
  /** Tensor of the learned probe. */
  readonly probe: string;
  /** Tensors and row ranges: `query` holds D rows of `weight`, or the first D of 3 D when all three are in one. */
  readonly query: { readonly weight: string; readonly bias: string };
  readonly keyValue: { readonly weight: string; readonly bias: string };
  readonly proj: string;
  readonly norm: string;
  readonly fc1: string;
  readonly fc2: string;
}
