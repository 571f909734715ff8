import {
  feasibleMerge,
  fullVariant,
  patchTokens,
  prefixTokens,
  type TensorMap,
  type Variant,
  type VitConfig,
} from '../../src/vit/index.ts';

/** Factors on every head's output and every channel's activation: `[B][H]` and `[B][M]`. */
export interface Gates {
  readonly heads: readonly (readonly number[])[];
  readonly channels: readonly (readonly number[])[];
}

type Rows = Float64Array[];

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
    const keep = (kind: 'heads' | 'channels', unit: number) =>
      (unit < (variant[kind][block] ?? 0) ? 1 : 0) * (gates?.[kind][block]?.[unit] ?? 1);
    const normed = rows.map((row) => norm(row, at(name('norm1.weight')), at(name('norm1.bias')), config));
    const { out, keys, logits } = attention(config, normed, sizes, angles, at, name, (head) =>
      keep('heads', head),
    );
    rows = rows.map((row, t) => row.map((value, d) => value + (out[t]?.[d] ?? 0)));
    const removed = merges[block] ?? 0;
    if (removed > 0) {
      const shares = attended.get(block) ?? clsAttention(config, logits, sizes);
      attended.set(block, shares);
      const kept = merge(config, rows, sizes, { keys, attended: shares }, removed);
      rows = kept.rows;
      sizes = kept.sizes;
      angles = angles.filter((_, t) => kept.survivors.has(t));
    }
    rows = rows.map((row) => {
      const input = norm(row, at(name('norm2.weight')), at(name('norm2.bias')), config);
      const change = mlp(config, input, at, name, (channel) => keep('channels', channel));
      return row.map((value, d) => value + (change[d] ?? 0));
    });
  }
  return pool(config, rows, sizes, at);
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

/** `out[o] = bias[o] + sum over i of weight[offset + o, i] row[i]`. */
function affine(
  row: Float64Array,
  weight: ArrayLike<number>,
  bias: ArrayLike<number> | null,
  outputs: number,
  offset = 0,
): Float64Array {
  return Float64Array.from({ length: outputs }, (_, o) => {
    let sum = bias?.[offset + o] ?? 0;
    for (let i = 0; i < row.length; i++) sum += (row[i] ?? 0) * (weight[(offset + o) * row.length + i] ?? 0);
    return sum;
  });
}

function attention(
  config: VitConfig,
  normed: Rows,
  sizes: number[],
  angles: (readonly number[] | null)[],
  at: (name: string) => ArrayLike<number>,
  name: (rest: string) => string,
  keep: (head: number) => number,
): { out: Rows; keys: Rows; logits: number[] } {
  const { heads, headDim: dh, width: D } = config;
  const weight = at(name('attn.qkv.weight'));
  const bias = at(name('attn.qkv.bias'));
  const projection = at(name('attn.proj.weight'));
  const out: Rows = normed.map(() =>
    Float64Array.from({ length: D }, (_, d) => at(name('attn.proj.bias'))[d] ?? 0),
  );
  const keys: Rows = normed.map(() => new Float64Array(dh));
  const asked: number[][] = [];
  for (let head = 0; head < heads; head++) {
    const part = (which: number) =>
      normed.map((row) => affine(row, weight, bias, dh, (head * 3 + which) * dh));
    const turned = (rows: Rows) => rows.map((row, t) => rotate(row, angles[t] ?? null));
    const [q, k, v] = [turned(part(0)), turned(part(1)), part(2)];
    const factor = keep(head);
    if (factor !== 0) for (const [t, sum] of keys.entries()) addTo(sum, k[t]);
    if (factor !== 0) asked.push(k.map((key) => dot(q[0] ?? key, key) / Math.sqrt(dh)));
    for (const [t, query] of q.entries()) {
      const weights = softmax(k.map((key, s) => dot(query, key) / Math.sqrt(dh) + Math.log(sizes[s] ?? 1)));
      for (let i = 0; i < dh; i++) {
        const context = factor * weights.reduce((sum, w, s) => sum + w * (v[s]?.[i] ?? 0), 0);
        const target = out[t] ?? new Float64Array(D);
        for (let d = 0; d < D; d++)
          target[d] = (target[d] ?? 0) + context * (projection[(head * dh + i) * D + d] ?? 0);
      }
    }
  }
  const logits = normed.map((_, t) => asked.reduce((sum, own) => sum + (own[t] ?? 0), 0) / asked.length);
  return { out, keys, logits };
}

function mlp(
  config: VitConfig,
  input: Float64Array,
  at: (name: string) => ArrayLike<number>,
  name: (rest: string) => string,
  keep: (channel: number) => number,
): Float64Array {
  const { channels: M, width: D } = config;
  const first = affine(input, at(name('mlp.fc1.weight')), at(name('mlp.fc1.bias')), M);
  const hidden = first.map((value) => activate(config.activation, value));
  if (config.mlp === 'gated') {
    const gate = affine(input, at(name('mlp.gate.weight')), at(name('mlp.gate.bias')), M);
    for (const [m, value] of gate.entries()) hidden[m] = (hidden[m] ?? 0) * value;
  }
  const weight = at(name('mlp.fc2.weight'));
  return Float64Array.from({ length: D }, (_, d) => {
    let sum = at(name('mlp.fc2.bias'))[d] ?? 0;
    for (let m = 0; m < M; m++) sum += keep(m) * (hidden[m] ?? 0) * (weight[m * D + d] ?? 0);
    return sum;
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

/** Bipartite matching of patches at even and odd positions (Bolya et al. 2023), survivors in order. */
function merge(
  config: VitConfig,
  rows: Rows,
  sizes: number[],
  { keys, attended }: { readonly keys: Rows; readonly attended: readonly number[] },
  removed: number,
): { rows: Rows; sizes: number[]; survivors: Set<number> } {
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
  if (config.pool === 'cls') return tokens[0] ?? new Float64Array(D);
  if (config.pool === 'cls-distillation') return mean(tokens.slice(0, 2), [1, 1]);
  const first = prefixTokens(config);
  if (config.pool === 'mean') return mean(tokens.slice(first), sizes.slice(first));
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
    const centre = [Math.floor(n / side), n % side].map((at) => (2 * (at + 0.5)) / side - 1);
    const quarter = config.headDim / 4;
    const frequencies = Array.from({ length: quarter }, (_, k) => (rope?.theta ?? 1) ** (-k / quarter));
    angles.push(rope ? centre.flatMap((at) => frequencies.map((f) => 2 * Math.PI * at * f)) : null);
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
