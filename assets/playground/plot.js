/** A line plot in SVG, drawn at the width that it has, so that its letters keep their size on a phone. */
import { svg } from './dom.js';

const HEIGHT = 300;
const EDGE = { top: 16, right: 18, bottom: 40, left: 52 };

/**
 * @param {HTMLElement} into
 * @param {() => object | undefined} describe the plot: `label` for screen readers, `x` and `y` axes (`from`, `to`,
 *   `ticks`, `text`, `title`), `band` of `[x, y]` points, `lines` (`class` and `points`), `dots` (`class`, `x`, `y`,
 *   `name`, `text`, `current`), `rings` (`class`, `x`, `y`)
 * @returns a function that draws again
 */
export function plot(into, describe) {
  const draw = () => {
    const width = into.clientWidth;
    const plot = describe();
    if (width === 0 || !plot) return;
    into.replaceChildren(picture(plot, width));
  };
  new ResizeObserver(draw).observe(into);
  return draw;
}

function picture({ label, x, y, band = [], lines, dots, rings = [] }, width) {
  const px = (value) => EDGE.left + ((value - x.from) / (x.to - x.from)) * (width - EDGE.left - EDGE.right);
  const py = (value) => HEIGHT - EDGE.bottom - ((value - y.from) / (y.to - y.from)) * (HEIGHT - EDGE.top - EDGE.bottom);
  const path = (points) => points.map(([a, b], i) => `${i === 0 ? 'M' : 'L'}${px(a).toFixed(1)} ${py(b).toFixed(1)}`).join('');
  const root = svg('svg', { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: 'img', 'aria-label': label });
  for (const value of y.ticks) {
    root.append(
      svg('line', { class: 'grid', x1: EDGE.left, x2: width - EDGE.right, y1: py(value), y2: py(value) }),
      svg('text', { class: 'tick', x: EDGE.left - 10, y: py(value) + 4, 'text-anchor': 'end' }, y.text(value)),
    );
  }
  for (const value of x.ticks)
    root.append(svg('text', { class: 'tick', x: px(value), y: HEIGHT - EDGE.bottom + 20, 'text-anchor': 'middle' }, x.text(value)));
  root.append(svg('text', { class: 'tick', x: width - EDGE.right, y: HEIGHT - 4, 'text-anchor': 'end' }, x.title));
  if (band.length > 0) root.append(svg('path', { class: 'band', d: `${path(band)}Z` }));
  for (const { class: kind, points } of lines) root.append(svg('path', { class: `line ${kind}`, d: path(points) }));
  for (const { class: kind, x: at, y: value } of rings)
    root.append(svg('circle', { class: `ring ${kind}`, cx: px(at), cy: py(value), r: 6.5 }));
  for (const { class: kind, x: at, y: value, name, text, current } of dots)
    root.append(
      svg('g', { class: `dot ${kind}${current ? ' current' : ''}` },
        svg('circle', { cx: px(at), cy: py(value), r: current ? 6 : 4 }),
        svg('text', { x: px(at), y: py(value) + (kind === 'fp32' ? -12 : 21), 'text-anchor': 'middle' }, name),
        svg('title', {}, text),
      ),
    );
  return root;
}

/** Round numbers between two, about `count` of them. */
export function ticks(from, to, count) {
  const rough = (to - from) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough) ?? rough;
  const list = [];
  for (let value = Math.ceil(from / step - 1e-9) * step; value <= to + step * 1e-6; value += step) list.push(value);
  return list;
}
