import type { SyntaxNode } from '@lezer/common';
import { parser } from '@prometheus-io/lezer-promql';

export interface Matcher {
  readonly label: string;
  readonly op: string;
  readonly value: string;
}

/** What an expression reads. */
export interface Reading {
  readonly metric: string;
  readonly matchers: readonly Matcher[];
}

export interface Parsed {
  readonly readings: readonly Reading[];
  /** Labels of every `by (…)`, with the metrics inside it. */
  readonly grouped: readonly { readonly labels: readonly string[]; readonly metrics: readonly string[] }[];
  /** Labels that the result has; `undefined` where it has all those of the metrics it reads. */
  readonly result: readonly string[] | undefined;
}

/**
 * Parses an expression with the grammar of Prometheus's own editor.
 * @throws with the place of the first error
 */
export function parsePromql(expr: string): Parsed {
  const tree = parser.parse(expr);
  const text = ({ from, to }: { from: number; to: number }) => expr.slice(from, to);
  const readings: Reading[] = [];
  const grouped: { labels: string[]; metrics: string[] }[] = [];
  tree.iterate({
    enter({ type, from, node }) {
      if (type.isError) throw new Error(`not PromQL at character ${from}: ${expr}`);
      if (type.name === 'VectorSelector') readings.push(reading(node, text));
      const modifier = type.name === 'AggregateExpr' ? node.getChild('AggregateModifier') : null;
      if (modifier)
        grouped.push({
          labels: labelsOf(modifier, text),
          metrics: selectors(node).map((selector) => reading(selector, text).metric),
        });
    },
  });
  return { readings, grouped, result: resultLabels(tree.topNode.firstChild, text) };
}

type Text = (node: { from: number; to: number }) => string;

function reading(node: SyntaxNode, text: Text): Reading {
  const name = node.getChild('Identifier');
  const list = node.getChild('LabelMatchers');
  return {
    metric: name ? text(name) : '',
    matchers: (list?.getChildren('UnquotedLabelMatcher') ?? []).map((matcher) => {
      const part = (kind: string) => {
        const found = matcher.getChild(kind);
        return found ? text(found) : '';
      };
      return { label: part('LabelName'), op: part('MatchOp'), value: JSON.parse(part('StringLiteral')) };
    }),
  };
}

function selectors(node: SyntaxNode): SyntaxNode[] {
  const found: SyntaxNode[] = [];
  node.cursor().iterate((inner) => {
    if (inner.from >= node.from && inner.to <= node.to && inner.name === 'VectorSelector')
      found.push(inner.node);
  });
  return found;
}

const labelsOf = (modifier: SyntaxNode, text: Text): string[] =>
  (modifier.getChild('GroupingLabels')?.getChildren('LabelName') ?? []).map(text);

/** Follows the left side of operators, and `histogram_quantile` into its argument. */
function resultLabels(node: SyntaxNode | null, text: Text): string[] | undefined {
  if (!node) return undefined;
  if (node.name === 'AggregateExpr') {
    const modifier = node.getChild('AggregateModifier');
    return modifier ? labelsOf(modifier, text) : [];
  }
  if (node.name === 'BinaryExpr' || node.name === 'ParenExpr') return resultLabels(node.firstChild, text);
  if (node.name === 'FunctionCall' && text(node).startsWith('histogram_quantile')) {
    const labels = resultLabels(node.getChild('FunctionCallBody')?.getChild('AggregateExpr') ?? null, text);
    return labels?.filter((label) => label !== 'le');
  }
  return undefined;
}
