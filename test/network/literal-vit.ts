import {
  feasibleMerge,
  fullVariant,
  patchTokens,
  prefixTokens,
  type TensorMap,
  type UnitKind,
  type Variant,
  type VitConfig,
} from '../../src/vit/index.ts';

/**
 * Factors on every head's output and every channel's activation, `[B][H]` and `[B][M]`; where dimensions are units on every
 * dimension of queries and of heads' outputs, `[B][dh]`.
 */
export type Gates = Partial<Readonly<Record<UnitKind, readonly (readonly number[])[]>>>;

type Rows = Float64Array[];

/** The factor on a unit: 0 where it is removed. */
type Keep = (kind: UnitKind, unit: number) => number;

/**
 * A Vision Transformer written down literally, in float64, token by token: nothing is skipped, removed units are
 * multiplied by zero. What engines are compared with.
 * @param pixels `[3, size, size]` of one image
 * @param attended what [CLS] attends to where tokens merge, block by block: taken from here where it is there, and put here
 *   where it is not, so that a second run can be weighed like the first
 * @returns `[embeddingWidth]`
 */
export function literalEmbedding(
  config: VitConfig,
  tensors: TensorMap,
  pixels: ArrayLike<number>,
  variant: Variant = fullVariant(config),
  gates?: Gates,
  attended = new Map<number, readonly number[]>(),
): Float64Array {
  const at = (name: string): ArrayLike<number> => tensors.get(name)?.data ?? [];
  const merges = feasibleMerge(config, variant);
  let rows = embed(config, at, pixels);
  let sizes = rows.map(() => 1);
  let angles = rotaryAngles(config);
  for (let block = 0; block < config.depth; block++) {
    const name = (rest: string) => `blocks.${block}.${rest}`;
    const keep: Keep = (kind, unit) =>
      kept(variant, block, kind, unit) * (gates?.[kind]?.[block]?.[unit] ?? 1);
    const { context, keys, logits } = attention(config, rows, sizes, angles, at, name, keep);
    rows = rows.map((row, t) => plus(row, project(context[t], at, name('attn.proj'), config)));
    const removed = merges[block] ?? 0;
    if (removed > 0) {
      const shares = attended.get(block) ?? clsAttention(config, logits, sizes);
      attended.set(block, shares);
      const merged = merge(config, rows, sizes, { keys, attended: shares }, removed);
      rows = merged.rows;
      sizes = merged.sizes;
      angles = angles.filter((_, t) => merged.survivors.has(t));
    }
    const hidden = mlp(config, rows, at, name, keep);
    rows = rows.map((row, t) => plus(row, project(hidden[t], at, name('mlp.fc2'), config)));
  }
  return pool(config, rows, sizes, at);
}

/**
 * What `attn.proj` (or `mlp.fc2`) of a block reads, of every token.
 * @param stream `[T, D]`, what enters the half block
 * @returns `[T, H * dh]` or `[T, M]`, zeros where units are removed
 */
export function literalActivations(
  config: VitConfig,
  tensors: TensorMap,
  stream: readonly Float64Array[],
  {
    block,
    part,
    sizes = stream.map(() => 1),
  }: { readonly block: number; readonly part: 'attention' | 'mlp'; readonly sizes?: number[] },
  variant: Variant,
): Rows {
  const at = (name: string): ArrayLike<number> => tensors.get(name)?.data ?? [];
  const name = (rest: string) => `blocks.${block}.${rest}`;
  const keep: Keep = (kind, unit) => kept(variant, block, kind, unit);
  if (part === 'mlp') return mlp(config, stream, at, name, keep);
  return attention(config, stream, sizes, rotaryAngles(config), at, name, keep).context;
}

/** What the first layer of half a block reads, of every token: the stream `[T, D]` after the norm. */
export function literalNorm(
  config: VitConfig,
  tensors: TensorMap,
  stream: readonly Float64Array[],
  { block, part }: { readonly block: number; readonly part: 'attention' | 'mlp' },
): Rows {
  const name = `blocks.${block}.${part === 'attention' ? 'norm1' : 'norm2'}`;
  const at = (rest: string): ArrayLike<number> => tensors.get(`${name}.${rest}`)?.data ?? [];
  return stream.map((row) => norm(row, at('weight'), at('bias'), config));
}

/**
 * The merge of a block, between its halves.
 * @param streams `[T, D]` before and after the attention, and how many patches each token stands for
 */
export function literalMerge(
  config: VitConfig,
  tensors: TensorMap,
  streams: {
    readonly entering: readonly Float64Array[];
    readonly stream: readonly Float64Array[];
    readonly sizes: number[];
  },
  { block, removed }: { readonly block: number; readonly removed: number },
  variant: Variant,
): Merged {
  const at = (name: string): ArrayLike<number> => tensors.get(name)?.data ?? [];
  const name = (rest: string) => `blocks.${block}.${rest}`;
  const keep: Keep = (kind, unit) => kept(variant, block, kind, unit);
  const { entering, stream, sizes } = streams;
  const { keys, logits } = attention(config, entering, sizes, rotaryAngles(config), at, name, keep);
  return merge(config, [...stream], sizes, { keys, attended: clsAttention(config, logits, sizes) }, removed);
}

/** 1 for a unit that the variant keeps; kinds that it does not count are all kept. */
function kept(variant: Variant, block: number, kind: UnitKind, unit: number): number {
  const counts = variant[kind];
  return counts === undefined || unit < (counts[block] ?? 0) ? 1 : 0;
}

function embed(config: VitConfig, at: (name: string) => ArrayLike<number>, pixels: ArrayLike<number>): Rows {
  const { width: D, patchSize: p, imageSize: S } = config;
  const side = Math.floor(S / p);
  const weight = at('embed.patch.weight');
  const rows: Rows = [];
  for (let t = 0; t < prefixTokens(config); t++) {
    rows.push(Float64Array.from({ length: D }, (_, d) => at('embed.prefix')[t * D + d] ?? 0));
  }
  for (let n = 0; n < side * side; n++) {
    rows.push(
      Float64Array.from({ length: D }, (_, d) => {
        let sum = (at('embed.patch.bias')[d] ?? 0) + (at('embed.position')[n * D + d] ?? 0);
        for (let c = 0; c < 3; c++)
          for (let y = 0; y < p; y++)
            for (let x = 0; x < p; x++) {
              const pixel = pixels[(c * S + Math.floor(n / side) * p + y) * S + (n % side) * p + x] ?? 0;
              sum += pixel * (weight[((d * 3 + c) * p + y) * p + x] ?? 0);
            }
        return sum;
      }),
    );
  }
  if (!config.preNorm) return rows;
  return rows.map((row) => norm(row, at('embed.norm.weight'), at('embed.norm.bias'), config));
}

function norm(
  row: Float64Array,
  weight: ArrayLike<number>,
  bias: ArrayLike<number>,
  config: VitConfig,
): Float64Array {
  const mean = row.reduce((sum, value) => sum + value, 0) / row.length;
  const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length;
  const scale = 1 / Math.sqrt(variance + config.layerNormEps);
  return row.map((value, d) => (value - mean) * scale * (weight[d] ?? 0) + (bias[d] ?? 0));
}

/** `out[o] = bias[first + o * step] + sum over i of weight[first + o * step, i] row[i]`. */
function affine(
  row: Float64Array,
  weight: ArrayLike<number>,
  bias: ArrayLike<number> | null,
  outputs: number,
  { first, step } = { first: 0, step: 1 },
): Float64Array {
  return Float64Array.from({ length: outputs }, (_, o) => {
    const output = first + o * step;
    let sum = bias?.[output] ?? 0;
    for (let i = 0; i < row.length; i++) sum += (row[i] ?? 0) * (weight[output * row.length + i] ?? 0);
    return sum;
  });
}

/** `out[d] = bias[d] + sum over i of row[i] weight[i, d]`: matrices that are stored input-first. */
function project(
  row: Float64Array | undefined,
  at: (name: string) => ArrayLike<number>,
  name: string,
  { width: D }: VitConfig,
): Float64Array {
  const weight = at(`${name}.weight`);
  return Float64Array.from({ length: D }, (_, d) => {
    let sum = at(`${name}.bias`)[d] ?? 0;
    for (const [i, value] of (row ?? []).entries()) sum += value * (weight[i * D + d] ?? 0);
    return sum;
  });
}

/** Which rows of which tensors a head's queries, keys and values come from, and where what it gives is put: `first + i * step`. */
function placesOf({ attentionUnits, heads: H, headDim: dh }: VitConfig, head: number) {
  if (attentionUnits === 'dimensions') {
    return {
      query: { tensor: 'attn.qk', first: head, step: 2 * H },
      key: { tensor: 'attn.qk', first: H + head, step: 2 * H },
      value: { tensor: 'attn.v', first: head, step: H },
      given: { first: head, step: H },
    };
  }
  const first = head * 3 * dh;
  return {
    query: { tensor: 'attn.qkv', first, step: 1 },
    key: { tensor: 'attn.qkv', first: first + dh, step: 1 },
    value: { tensor: 'attn.qkv', first: first + 2 * dh, step: 1 },
    given: { first: head * dh, step: 1 },
  };
}

function attention(
  config: VitConfig,
  rows: readonly Float64Array[],
  sizes: number[],
  angles: (readonly number[] | null)[],
  at: (name: string) => ArrayLike<number>,
  name: (rest: string) => string,
  keep: Keep,
): { context: Rows; keys: Rows; logits: number[] } {
  const { heads, headDim: dh } = config;
  const normed = rows.map((row) => norm(row, at(name('norm1.weight')), at(name('norm1.bias')), config));
  const context: Rows = normed.map(() => new Float64Array(heads * dh));
  const keys: Rows = normed.map(() => new Float64Array(dh));
  const asked: number[][] = [];
  for (let head = 0; head < heads; head++) {
    const { query, key, value, given } = placesOf(config, head);
    const part = ({ tensor, ...rows }: typeof query) =>
      normed.map((row) => affine(row, at(name(`${tensor}.weight`)), at(name(`${tensor}.bias`)), dh, rows));
    const turned = (rows: Rows) => rows.map((row, t) => rotate(row, angles[t] ?? null));
    const q = turned(part(query)).map((row) => row.map((number, i) => number * keep('queries', i)));
    const k = turned(part(key)).map((row) => row.map((number, i) => (keep('queries', i) === 0 ? 0 : number)));
    const v = part(value);
    const factor = keep('heads', head);
    if (factor !== 0) for (const [t, sum] of keys.entries()) addTo(sum, k[t]);
    if (factor !== 0) asked.push(k.map((own) => dot(q[0] ?? own, own) / Math.sqrt(dh)));
    for (const [t, own] of q.entries()) {
      const weights = softmax(k.map((other, s) => dot(own, other) / Math.sqrt(dh) + Math.log(sizes[s] ?? 1)));
      const target = context[t] ?? new Float64Array(heads * dh);
      for (let i = 0; i < dh; i++) {
        const mixed = weights.reduce((sum, w, s) => sum + w * (v[s]?.[i] ?? 0), 0);
        target[given.first + i * given.step] = factor * keep('values', i) * mixed;
      }
    }
  }
  const logits = normed.map((_, t) => asked.reduce((sum, own) => sum + (own[t] ?? 0), 0) / asked.length);
  return { context, keys, logits };
}

function mlp(
  config: VitConfig,
  rows: readonly Float64Array[],
  at: (name: string) => ArrayLike<number>,
  name: (rest: string) => string,
  keep: Keep,
): Rows {
  const M = config.channels;
  return rows.map((row) => {
    const input = norm(row, at(name('norm2.weight')), at(name('norm2.bias')), config);
    const dense = (of: string) => affine(input, at(name(`${of}.weight`)), at(name(`${of}.bias`)), M);
    const hidden = dense('mlp.fc1').map(
      (value, m) => keep('channels', m) * activate(config.activation, value),
    );
    if (config.mlp === 'gated') {
      for (const [m, value] of dense('mlp.gate').entries()) hidden[m] = (hidden[m] ?? 0) * value;
    }
    return hidden;
  });
}

function activate(kind: VitConfig['activation'], x: number): number {
  switch (kind) {
    case 'gelu':
      return 0.5 * x * (1 + erf(x / Math.SQRT2));
    case 'gelu-tanh':
      return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
    case 'quick-gelu':
      return x / (1 + Math.exp(-1.702 * x));
    case 'silu':
      return x / (1 + Math.exp(-x));
  }
}

/** The error function by its Maclaurin series (Abramowitz & Stegun 7.1.6), to double precision where |x| < 5. */
function erf(x: number): number {
  if (Math.abs(x) > 5) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** What a patch of every token gets of the attention of [CLS] to patches, in even shares, from 1/16 to 4 of them. */
function clsAttention(config: VitConfig, logits: readonly number[], sizes: readonly number[]): number[] {
  const first = prefixTokens(config);
  const all = logits.flatMap((logit, t) => (t < first ? [] : new Array<number>(sizes[t] ?? 0).fill(logit)));
  const total = all.reduce((sum, logit) => sum + Math.exp(logit), 0);
  return logits.map((logit) => Math.min(4, Math.max(1 / 16, (Math.exp(logit) / total) * all.length)));
}

interface Merged {
  readonly rows: Rows;
  readonly sizes: number[];
  readonly survivors: Set<number>;
  /** Positions before the merge of what merged, the most alike first, and what the source weighs in the target. */
  readonly pairs: readonly { readonly source: number; readonly target: number; readonly share: number }[];
}

/** Bipartite matching of patches at even and odd positions (Bolya et al. 2023), survivors in order. */
function merge(
  config: VitConfig,
  rows: Rows,
  sizes: number[],
  { keys, attended }: { readonly keys: Rows; readonly attended: readonly number[] },
  removed: number,
): Merged {
  const first = prefixTokens(config);
  const positions = rows.map((_, t) => t).filter((t) => t >= first);
  const odd = positions.filter((t) => t % 2 === 1);
  const cosine = (of: Rows, a: number, b: number) => {
    const [x = new Float64Array(0), y = new Float64Array(0)] = [of[a], of[b]];
    return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
  };
  const rule = config.merging ?? { rows: 0, sizes: 0, attention: 0 };
  const weight = (t: number) => (sizes[t] ?? 1) * (rule.attention > 0 ? (attended[t] ?? 1) : 1);
  const alike = (a: number, b: number) =>
    (1 - rule.rows) * cosine(keys, a, b) +
    rule.rows * cosine(rows, a, b) -
    rule.sizes * (Math.log(sizes[a] ?? 1) + Math.log(sizes[b] ?? 1)) -
    rule.attention * (attended[a] ?? 1);
  const proposals = positions
    .filter((t) => t % 2 === 0)
    .map((source) => {
      const similar = odd.map((target) => alike(source, target));
      const best = Math.max(...similar);
      return { source, target: odd[similar.indexOf(best)] ?? -1, best };
    })
    .sort((a, b) => b.best - a.best)
    .slice(0, removed);
  const sums = rows.map((row, t) => row.map((value) => value * weight(t)));
  const grown = [...sizes];
  const weights = rows.map((_, t) => weight(t));
  for (const { source, target } of proposals) {
    addTo(sums[target], sums[source]);
    grown[target] = (grown[target] ?? 0) + (sizes[source] ?? 0);
    weights[target] = (weights[target] ?? 0) + weight(source);
  }
  const gone = new Set(proposals.map(({ source }) => source));
  const survivors = new Set(rows.map((_, t) => t).filter((t) => !gone.has(t)));
  const means = sums.map((sum, t) => sum.map((value) => value / (weights[t] ?? 1)));
  return {
    rows: means.filter((_, t) => survivors.has(t)),
    sizes: grown.filter((_, t) => survivors.has(t)),
    survivors,
    pairs: proposals.map(({ source, target }) => {
      return { source, target, share: weight(source) / (weights[target] ?? 1) };
    }),
  };
}

function pool(
  config: VitConfig,
  rows: Rows,
  sizes: number[],
  at: (name: string) => ArrayLike<number>,
): Float64Array {
  const normed = (row: Float64Array) => norm(row, at('norm.weight'), at('norm.bias'), config);
  const tokens = config.finalNorm === 'before-pool' ? rows.map(normed) : rows;
  let pooled = poolTokens(config, tokens, sizes, at);
  if (config.finalNorm === 'after-pool') pooled = normed(pooled);
  if (config.embeddingWidth === config.width) return pooled;
  return affine(pooled, at('projection.weight'), null, config.embeddingWidth);
}

function poolTokens(
  config: VitConfig,
  tokens: Rows,
  sizes: number[],
  at: (name: string) => ArrayLike<number>,
): Float64Array {
  const D = config.width;
  const mean = (rows: Rows, weights: number[]) => {
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return Float64Array.from({ length: D }, (_, d) =>
      rows.reduce((sum, row, t) => sum + ((row[d] ?? 0) * (weights[t] ?? 0)) / total, 0),
    );
  };
  const reads = config.poolTokens ?? (config.pool === 'mean' ? 'patches' : 'all');
  if (config.pool === 'cls') return tokens[0] ?? new Float64Array(D);
  if (config.pool === 'cls-distillation') return mean(tokens.slice(0, 2), [1, 1]);
  const first = reads === 'patches' ? prefixTokens(config) : 0;
  if (config.pool === 'mean') return mean(tokens.slice(first), sizes.slice(first));
  if (first > 0)
    return poolTokens({ ...config, poolTokens: 'all' }, tokens.slice(first), sizes.slice(first), at);
  const heads = config.attentionPool?.heads ?? 1;
  const C = config.attentionPool?.channels ?? 1;
  const dh = D / heads;
  const dense = (row: Float64Array, name: string, out: number) =>
    affine(row, at(`pool.${name}.weight`), at(`pool.${name}.bias`), out);
  const query = dense(Float64Array.from(at('pool.probe')), 'query', D);
  const keys = tokens.map((row) => dense(row, 'key', D));
  const values = tokens.map((row) => dense(row, 'value', D));
  const found = new Float64Array(D);
  for (let head = 0; head < heads; head++) {
    const slice = (row: Float64Array) => row.subarray(head * dh, (head + 1) * dh);
    const weights = softmax(
      keys.map((key, t) => dot(slice(query), slice(key)) / Math.sqrt(dh) + Math.log(sizes[t] ?? 1)),
    );
    for (let i = head * dh; i < (head + 1) * dh; i++) {
      found[i] = weights.reduce((sum, weight, t) => sum + weight * (values[t]?.[i] ?? 0), 0);
    }
  }
  const projected = dense(found, 'proj', D);
  const input = norm(projected, at('pool.norm.weight'), at('pool.norm.bias'), config);
  const hidden = dense(input, 'mlp.fc1', C).map((value) => activate(config.activation, value));
  const change = dense(hidden, 'mlp.fc2', D);
  return projected.map((value, d) => value + (change[d] ?? 0));
}

/** For every token the angles of its first `dh / 2` features (DINOv3), or null where nothing is rotated. */
function rotaryAngles(config: VitConfig): (readonly number[] | null)[] {
  const { rope } = config;
  const side = Math.floor(config.imageSize / config.patchSize);
  const angles: (readonly number[] | null)[] = new Array(prefixTokens(config)).fill(null);
  for (let n = 0; n < patchTokens(config); n++) {
    const cell = [Math.floor(n / side), n % side];
    const { offset = 0, patches = side } = rope?.grid ?? {};
    const centre = cell.map((at) =>
      rope?.grid ? ((at + offset) / side) * patches : 2 * Math.PI * ((2 * (at + 0.5)) / side - 1),
    );
    const quarter = config.headDim / 4;
    const frequencies = Array.from({ length: quarter }, (_, k) => (rope?.theta ?? 1) ** (-k / quarter));
    angles.push(rope ? centre.flatMap((at) => frequencies.map((f) => at * f)) : null);
  }
  return angles;
}

function rotate(row: Float64Array, angles: readonly number[] | null): Float64Array {
  if (!angles) return row;
  const half = row.length / 2;
  const turned = new Float64Array(row.length);
  for (let i = 0; i < half; i++) {
    const [a, b, angle] = [row[i] ?? 0, row[i + half] ?? 0, angles[i] ?? 0];
    turned[i] = a * Math.cos(angle) - b * Math.sin(angle);
    turned[i + half] = b * Math.cos(angle) + a * Math.sin(angle);
  }
  return turned;
}

function plus(row: Float64Array, change: Float64Array): Float64Array {
  return row.map((value, d) => value + (change[d] ?? 0));
}

function addTo(sum: Float64Array | undefined, row: Float64Array | undefined): void {
  for (const [i, value] of (row ?? []).entries()) if (sum) sum[i] = (sum[i] ?? 0) + value;
}

function softmax(logits: number[]): number[] {
  const top = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - top));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
}
