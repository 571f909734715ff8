import { type Attention, attentionBranch } from './attention.ts';
import type { GraphBuilder, Value } from './graph.ts';
import type { Branch, BranchGradients, Half } from './half.ts';
import { type DifferentiableMerge, mergeTokens } from './merging.ts';
import { mlpBranch } from './mlp.ts';
import { leadingTokens, type Scope, type Stream } from './stream.ts';
import type { BlockStructure } from './structure.ts';

/** What is particular to one block of a network. */
export interface BlockPlace extends BlockStructure {
  readonly block: number;
  /** How many tokens it merges, int64 `[1]`; absent where no block merges. */
  readonly removed: Value | undefined;
  /** How many leading tokens it computes; null: all of them. */
  readonly rows: number | null;
}

export interface Block {
  /** The stream that leaves. */
  readonly stream: Stream;
  readonly attention: Branch<Attention>;
  readonly mlp: Branch<Half>;
  /** dL/d(rows that leave) to the derivatives inside the block. Which tokens merge counts as fixed. */
  readonly backward: (gradient: Value) => BlockGradients;
}

export interface BlockGradients {
  readonly attention: BranchGradients<Attention>;
  readonly mlp: BranchGradients<Half>;
  /** dL/d(rows that enter). Adds its nodes when it is asked for. */
  readonly entering: () => Value;
}

/**
 * One block of a pre-norm Transformer (Dosovitskiy et al. 2021, equations 2 and 3). Tokens merge between its halves (Bolya et al. 2023,
 * section 3):
 *
 *     x = x + attention(norm(x))
 *     x = merge(x)
 *     x = x + mlp(norm(x))
 */
export function block(scope: Scope, stream: Stream, place: BlockPlace): Block {
  const { g } = scope;
  const attention = attentionOf(scope, stream, place);
  const attended = plus(g, leadingTokens(scope, stream, place.rows), attention);
  const merge = mergeOf(scope, attended, attention, place);
  const merged = merge?.stream ?? attended;
  const mlp = mlpOf(scope, merged, place);
  return {
    stream: plus(g, merged, mlp),
    attention,
    mlp,
    backward(gradient) {
      const ofMlp = mlp.backward(gradient);
      const ofMerged = plusBackward(g, gradient, ofMlp);
      const ofAttended = merge ? merge.backward(ofMerged) : ofMerged;
      const ofAttention = attention.backward(ofAttended);
      return {
        mlp: ofMlp,
        attention: ofAttention,
        entering: () => plusBackward(g, ofAttended, ofAttention),
      };
    },
  };
}

function attentionOf(scope: Scope, stream: Stream, { block, attention: kept, rows }: BlockPlace) {
  return attentionBranch(scope, stream, block, { kept, rows });
}

function mlpOf(scope: Scope, { rows }: Stream, { block, mlp: kept }: BlockPlace) {
  return mlpBranch(scope, rows, block, { kept });
}

/** Tokens merge by what the attention before asked for; where no head is left there is none to ask. */
function mergeOf(
  scope: Scope,
  stream: Stream,
  { half: asked }: Branch<Attention>,
  { merge, removed }: BlockPlace,
): DifferentiableMerge | undefined {
  return merge && asked && removed !== undefined ? mergeTokens(scope, stream, asked, removed) : undefined;
}

/** `x + branch`. */
function plus<H extends Half>(g: GraphBuilder, stream: Stream, { output }: Branch<H>): Stream {
  return { ...stream, rows: g.op('Add', [stream.rows, output]) };
}

/** dL/d(x + branch(x)) to dL/d(x): what went past the branch and what went through it. */
function plusBackward<H extends Half>(g: GraphBuilder, gradient: Value, { kept }: BranchGradients<H>): Value {
  return kept ? g.op('Add', [gradient, kept.half.rows()]) : gradient;
}
