import type { VitConfig } from '../vit/index.ts';
import type { GraphBuilder, Value } from './graph.ts';
import type { Quantisation } from './quantisation.ts';
import type { RotaryTables } from './rotary.ts';

/** The residual stream inside a graph: rows of all images' tokens, and what is known about them. */
export interface Stream {
  /** `[images * tokens, D]` */
  readonly rows: Value;
  /** Tokens of an image, int64 `[1]`. */
  readonly tokens: Value;
  /** How many patches each row stands for, `[images * tokens, 1]`; absent while nothing has been merged. */
  readonly sizes?: Value;
  /** Rotary tables; per row once tokens have been merged. */
  readonly rotary?: RotaryTables;
}

/** What every part of a graph needs to know. */
export interface Scope {
  readonly g: GraphBuilder;
  readonly config: VitConfig;
  /** Images in the batch, int64 `[1]`. */
  readonly images: Value;
  /** Present in the int8 precision, which has no derivatives. */
  readonly quantisation?: Quantisation | undefined;
  /** Whether `backward` may be called on what is built. @default false */
  readonly differentiable?: boolean;
}

/** `[images * tokens, width]` as `[images, tokens, width]`. */
export function byImage({ g, images }: Scope, rows: Value, tokens: Value, width: number): Value {
  return g.op('Reshape', [rows, g.op('Concat', [images, tokens, g.ints(width)], { axis: 0 })]);
}

/** The first tokens of every image. @param count null: all of them */
export function leadingTokens(scope: Scope, stream: Stream, count: number | null): Stream {
  if (count === null) return stream;
  const { g, config } = scope;
  const all = byImage(scope, stream.rows, stream.tokens, config.width);
  const first = g.op('Slice', [all, g.ints(0), g.ints(count), g.ints(1)]);
  return { ...stream, rows: g.op('Reshape', [first, g.ints(-1, config.width)]), tokens: g.ints(count) };
}
