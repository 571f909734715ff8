/** One line of a plot. */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

const COLOURS = ['#2f6fde', '#d9622b', '#888888', '#2a9d62', '#a23bb5'];
const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [460, 280, 56, 42, 34, 16];

export interface PlotOptions {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly yMax?: number;
}

/** A panel of SVG; several stand side by side in {@link figure}. */
function panel({ title, x, y, yMax }: PlotOptions, series: readonly Series[]): string {
  const all = series.flatMap(({ points }) => points);
  const [right, high] = [
    Math.max(...all.map(([at]) => at)),
    yMax ?? Math.max(...all.map(([, value]) => value)) * 1.05,
  ];
  const px = (at: number) => LEFT + ((WIDTH - LEFT - RIGHT) * at) / right;
  const py = (value: number) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * Math.min(value, high)) / high;
  const grid = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const line = `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${py(part * high)}" y2="${py(part * high)}" stroke="#8884"/>`;
    const yText = `<text x="${LEFT - 6}" y="${py(part * high) + 4}" text-anchor="end">${Number((part * high).toPrecision(3))}</text>`;
    return `${line}${yText}<text x="${px(part * right)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${Number((part * right).toPrecision(3))}</text>`;
  });
  const lines = series.map(({ points }, i) => {
    const path = points.map(([at, value]) => `${px(at).toFixed(1)},${py(value).toFixed(1)}`);
    const colour = COLOURS[i % COLOURS.length];
    const dots = path.map(
      (point) => `<circle cx="${point.split(',')[0]}" cy="${point.split(',')[1]}" r="3" fill="${colour}"/>`,
    );
    return `<polyline points="${path.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>${dots.join('')}`;
  });
  return `<text x="${WIDTH / 2}" y="18" text-anchor="middle" font-weight="600">${title}</text>${grid.join('')}${lines.join('')}<text x="${WIDTH / 2}" y="${HEIGHT - 6}" text-anchor="middle">${x}</text><text transform="translate(13 ${HEIGHT / 2}) rotate(-90)" text-anchor="middle">${y}</text>`;
}

/** Panels side by side with one legend, as an SVG document on white. */
export function figure(panels: readonly (readonly [PlotOptions, readonly Series[]])[]): string {
  const title = panels.map(([options]) => options.title).join('; ');
  const names = panels[0]?.[1].map(({ name }) => name) ?? [];
  const legend = names.map(
    (name, i) =>
      `<circle cx="${70 + 190 * i}" cy="${HEIGHT + 14}" r="5" fill="${COLOURS[i % COLOURS.length]}"/><text x="${82 + 190 * i}" y="${HEIGHT + 18}">${name}</text>`,
  );
  const body = panels.map((given, i) => `<g transform="translate(${i * WIDTH} 0)">${panel(...given)}</g>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH * panels.length} ${HEIGHT + 30}" width="${WIDTH * panels.length}" font-family="sans-serif" font-size="12" fill="#333"><title>${title}</title><rect width="100%" height="100%" fill="#fff"/>${body.join('')}${legend.join('')}</svg>\n`;
}
