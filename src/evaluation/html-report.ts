import type { EvaluatedLevel, Evaluation } from './evaluate.ts';

const COLOURS = ['#2f6fde', '#d9622b', '#2a9d62', '#a23bb5', '#b5881c', '#c2294b'];
const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [520, 300, 52, 40, 14, 14];

/** One self-contained page: plots and the table; no script, nothing from elsewhere. */
export function htmlReport(evaluations: readonly Evaluation[]): string {
  const plots = [
    plot(
      'Fidelity against FLOPs',
      evaluations,
      'share of the FLOPs',
      ({ flops }) => flops,
      ({ fidelity }) => fidelity.mean,
    ),
    plot(
      'k-NN top-1 against FLOPs',
      evaluations,
      'share of the FLOPs',
      ({ flops }) => flops,
      ({ knn }) => knn,
    ),
    plot(
      'Fidelity against time',
      evaluations,
      'ms for one image',
      ({ ms }) => ms,
      ({ fidelity }) => fidelity.mean,
    ),
    plot(
      'k-NN top-1 against time',
      evaluations,
      'ms for one image',
      ({ ms }) => ms,
      ({ knn }) => knn,
    ),
  ];
  const names = evaluations.map(
    ({ model, recipe, digest }, i) =>
      `<li><span style="background:${COLOURS[i % COLOURS.length]}"></span>${escapeHtml(model)} (${escapeHtml(recipe)}, ${digest.slice(0, 12)})</li>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Concertina: evaluation</title><style>${STYLE}</style></head>
<body><main><h1>Evaluation</h1><ul class="names">${names.join('')}</ul>
<div class="plots">${plots.join('')}</div>${evaluations.map(section).join('')}
<p>Solid lines: fp32; dashed: int8. Fidelity: cosine of a query's embedding to the full network's. k-NN: top-1, k = 20. Recall: the queries are embedded at the level, the gallery by the full network; whether what the full network finds first is among the first 1 or 10.</p>
</main></body></html>
`;
}

function section({ model, levels, gallery, queries, skipped }: Evaluation): string {
  const cells = levels.map((level) =>
    [
      level.level,
      level.precision,
      `${(100 * level.flops).toFixed(1)} %`,
      level.gflops.toFixed(3),
      `${(level.params / 1e6).toFixed(2)} M`,
      level.fidelity.mean.toFixed(4),
      level.fidelity.p5.toFixed(4),
      level.knn.toFixed(4),
      level.probe.toFixed(4),
      level.recall.at1.toFixed(4),
      level.recall.at10.toFixed(4),
      level.ms.toFixed(2),
    ]
      .map((cell) => `<td>${cell}</td>`)
      .join(''),
  );
  const head = [
    'level',
    'precision',
    'FLOPs',
    'GFLOPs',
    'params',
    'fidelity',
    'p5',
    'k-NN',
    'probe',
    'recall@1',
    'recall@10',
    'ms',
  ];
  return `<h2>${escapeHtml(model)}</h2><p>${gallery} pictures in the gallery, ${queries} queries${skipped > 0 ? `, ${skipped} unreadable` : ''}.</p>
<div class="table"><table><thead><tr>${head.map((name) => `<th>${name}</th>`).join('')}</tr></thead><tbody>${cells.map((row) => `<tr>${row}</tr>`).join('')}</tbody></table></div>`;
}

function plot(
  title: string,
  evaluations: readonly Evaluation[],
  xName: string,
  x: (level: EvaluatedLevel) => number,
  y: (level: EvaluatedLevel) => number,
): string {
  const all = evaluations.flatMap(({ levels }) => levels);
  const xMax = Math.max(...all.map(x));
  const low = Math.min(...all.map(y));
  const yMin = Math.max(0, Math.floor(low * 10 - 0.3) / 10);
  const px = (value: number) => LEFT + ((WIDTH - LEFT - RIGHT) * value) / xMax;
  const py = (value: number) =>
    HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * (value - yMin)) / Math.max(1e-9, 1 - yMin);
  const ticks = Array.from({ length: 5 }, (_, i) => i / 4);
  const grid = ticks
    .map((part) => {
      const [gx, gy] = [part * xMax, yMin + part * (1 - yMin)];
      return `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${py(gy)}" y2="${py(gy)}"/><text x="${LEFT - 8}" y="${py(gy) + 4}" text-anchor="end">${gy.toFixed(2)}</text><text x="${px(gx)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${gx.toPrecision(3)}</text>`;
    })
    .join('');
  const lines = evaluations
    .flatMap(({ levels }, i) =>
      [...new Set(levels.map(({ precision }) => precision))].map((precision) => ({
        levels: levels.filter((level) => level.precision === precision),
        colour: COLOURS[i % COLOURS.length],
        dashes: precision === 'fp32' ? '' : ' stroke-dasharray="5 3"',
      })),
    )
    .map(({ levels, colour, dashes }) => {
      const points = levels.map((level) => `${px(x(level)).toFixed(1)},${py(y(level)).toFixed(1)}`);
      const dots = points.map(
        (point) =>
          `<circle cx="${point.split(',')[0]}" cy="${point.split(',')[1]}" r="3.5" fill="${colour}"/>`,
      );
      return `<polyline points="${points.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"${dashes}/>${dots.join('')}`;
    })
    .join('');
  return `<figure><figcaption>${title}</figcaption><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}"><g class="grid">${grid}</g>${lines}<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 4}" text-anchor="middle">${xName}</text></svg></figure>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
figure { margin: 0; } figcaption { font-weight: 600; }
svg { width: 100%; font-size: 12px; } svg text { fill: currentColor; } .grid line { stroke: currentColor; opacity: 0.15; }
.names { list-style: none; padding: 0; } .names span { display: inline-block; width: 0.8em; height: 0.8em; border-radius: 50%; margin-right: 0.5em; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 0.25rem 0.7rem; border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); }
`;
