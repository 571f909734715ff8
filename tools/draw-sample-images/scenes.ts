import type { Brush } from './brush.ts';

export interface Scene {
  readonly title: string;
  readonly svg: string;
}
export type Painter = (random: Brush, number: number, width: number, height: number) => Scene;

/** A linear gradient from top to bottom (or `angle`), as a definition and its reference. */
function gradient(id: string, colours: readonly string[], horizontal = { x2: 0, y2: 1 }): string {
  const stops = colours.map(
    (colour, i) => `<stop offset="${i / (colours.length - 1)}" stop-color="${colour}"/>`,
  );
  return `<linearGradient id="${id}" x1="0" y1="0" x2="${horizontal.x2}" y2="${horizontal.y2}">${stops.join('')}</linearGradient>`;
}

function glow(id: string, inner: string, outer: string): string {
  return `<radialGradient id="${id}"><stop offset="0" stop-color="${inner}"/><stop offset="1" stop-color="${outer}"/></radialGradient>`;
}

const BLUR =
  '<filter id="blur"><feGaussianBlur stdDeviation="4"/></filter><filter id="soft"><feGaussianBlur stdDeviation="1.2"/></filter>';

function cloud(x: number, y: number, s: number, colour: string, opacity: number): string {
  return `<g fill="${colour}" opacity="${opacity}" filter="url(#soft)"><ellipse cx="${x}" cy="${y}" rx="${34 * s}" ry="${13 * s}"/><circle cx="${x - 14 * s}" cy="${y - 8 * s}" r="${14 * s}"/><circle cx="${x + 8 * s}" cy="${y - 13 * s}" r="${18 * s}"/></g>`;
}

const sky = (colours: readonly string[], w: number, h: number) =>
  `<defs>${gradient('sky', colours)}${BLUR}</defs><rect width="${w}" height="${h}" fill="url(#sky)"/>`;

const SKIES = [
  ['#2f7fd6', '#9fd0f5', '#e6f4fb'],
  ['#f2a65a', '#f7d6a3', '#fbeede'],
  ['#5a86b8', '#b9cfe2', '#dfe8ee'],
  ['#1d4f91', '#76a9da', '#cfe6f6'],
] as const;
const GREENS = ['#5c9a4a', '#7aa64f', '#4f8a5b', '#8fae4e'] as const;
const at = <T>(list: readonly T[], i: number): T => list[i % list.length] as T; // the lists are never empty

const sunset: Painter = (r, i, w, h) => {
  const skies = [
    ['#2b2f77', '#c2557a', '#ff9e4f', '#ffe08a'],
    ['#0e4f8b', '#6fb1d8', '#ffd9a0', '#fff0c9'],
    ['#3a1c55', '#a23b72', '#f25c54', '#f7b267'],
    ['#5b2a3c', '#d1495b', '#edae49', '#fff1b8'],
  ];
  const horizon = h * r.between(0.55, 0.64);
  const x = w * r.between(0.3, 0.7);
  const y = horizon - h * r.between(0.08, 0.22);
  const radius = h * r.between(0.09, 0.12);
  const sea = [
    ['#b5543c', '#472a5b', '#1c1b3a'],
    ['#e2b673', '#2e6f8e', '#123a52'],
    ['#d1653f', '#5b2450', '#21123a'],
    ['#d98a4a', '#7a3345', '#2a1626'],
  ];
  return {
    title: at(['Evening over a violet sea', 'A pale sun at noon', 'The last light', 'A red evening'], i),
    svg: `${sky(at(skies, i), w, h)}<defs>${gradient('sea', at(sea, i))}${glow('sun', '#fffbe0', '#ffe08a00')}</defs>
      ${r.many(4, () => cloud(r.between(0, w), r.between(h * 0.08, h * 0.35), r.between(0.8, 1.6), '#fff1e0', 0.5))}
      <circle cx="${x}" cy="${y}" r="${radius * 3}" fill="url(#sun)"/><circle cx="${x}" cy="${y}" r="${radius}" fill="#fff6cf"/>
      <rect y="${horizon}" width="${w}" height="${h - horizon}" fill="url(#sea)"/>
      ${r.many(26, (k) => {
        const t = k / 26;
        const width = radius * (0.7 + 2.6 * t) * r.between(0.5, 1.2);
        return `<rect x="${x - width / 2 + r.between(-8, 8)}" y="${horizon + 3 + t * (h - horizon)}" width="${width}" height="${1 + 2.6 * t}" rx="1.5" fill="#ffe9b0" opacity="${0.75 - 0.5 * t}"/>`;
      })}
      ${i % 2 ? `<path d="M${w * 0.15} ${horizon + 6} l10 -38 l26 32 z" fill="#fff" opacity=".9"/><path d="M${w * 0.13} ${horizon + 6} h46 l-9 10 h-28 z" fill="#3c2a2a"/>` : ''}`,
  };
};

const house: Painter = (r, i, w, h) => {
  const wall = at(['#f3e3c3', '#d9e4ea', '#e9b9a0', '#f6f1e7'], i);
  const roof = at(['#b5452f', '#4b5d6b', '#7a3b2e', '#a8672d'], i);
  const ground = h * 0.72;
  const bw = w * r.between(0.36, 0.46);
  const bh = h * r.between(0.3, 0.36);
  const x = w * r.between(0.24, 0.36);
  const y = ground - bh;
  const window = (wx: number, wy: number) =>
    `<g><rect x="${wx}" y="${wy}" width="30" height="32" fill="#fff"/><rect x="${wx + 3}" y="${wy + 3}" width="24" height="26" fill="${at(['#7fb2d6', '#ffd773', '#93b8c9', '#86a9c2'], i)}"/><path d="M${wx + 15} ${wy + 3} v26 M${wx + 3} ${wy + 16} h24" stroke="#fff" stroke-width="2.5"/></g>`;
  return {
    title: at(['A house with a red roof', 'A grey house', 'A brick house', 'A white house'], i),
    svg: `${sky(at(SKIES, i), w, h)}<defs>${gradient('lawn', [at(GREENS, i), '#2f5d36'])}${gradient('roof', [roof, '#2d1c18'])}${gradient('wall', [wall, '#b9a78c'], { x2: 1, y2: 0.3 })}</defs>
      ${r.many(3, () => cloud(r.between(0, w), r.between(20, h * 0.28), r.between(0.7, 1.3), '#fff', 0.85))}
      <ellipse cx="${w * 0.8}" cy="${ground}" rx="${w * 0.45}" ry="${h * 0.14}" fill="#6c9a6a"/><ellipse cx="${w * 0.1}" cy="${ground}" rx="${w * 0.4}" ry="${h * 0.1}" fill="#80a874"/>
      <rect y="${ground}" width="${w}" height="${h - ground}" fill="url(#lawn)"/>
      <rect x="${x + bw * 0.72}" y="${y - bh * 0.72}" width="20" height="52" fill="#8b4a3b"/>
      <rect x="${x}" y="${y}" width="${bw}" height="${bh}" fill="url(#wall)"/>
      <path d="M${x - 18} ${y + 4} L${x + bw / 2} ${y - bh * 0.78} L${x + bw + 18} ${y + 4} z" fill="url(#roof)"/>
      ${window(x + bw * 0.1, y + bh * 0.28)}${window(x + bw * 0.68, y + bh * 0.28)}
      <rect x="${x + bw * 0.42}" y="${y + bh * 0.42}" width="${bw * 0.18}" height="${bh * 0.58}" fill="${at(['#5b3a29', '#274b63', '#37503c', '#8c2f39'], i)}"/><circle cx="${x + bw * 0.57}" cy="${y + bh * 0.74}" r="2.4" fill="#f4d35e"/>
      <path d="M${x + bw * 0.42} ${ground} L${x + bw * 0.3} ${h} H${x + bw * 0.8} L${x + bw * 0.6} ${ground} z" fill="#c9b79c"/>
      ${r.many(9, () => `<circle cx="${r.between(0, w)}" cy="${r.between(ground + 14, h)}" r="${r.between(2, 4)}" fill="${r.pick(['#ffe066', '#f7f7ff', '#ef798a'])}"/>`)}`,
  };
};

const tree: Painter = (r, i, w, h) => {
  const ground = h * 0.78;
  const x = w * r.between(0.42, 0.58);
  const leaves = at(
    [
      ['#3f7d3a', '#6cab4a', '#9ccf6a'],
      ['#c8551b', '#e5892d', '#f6c15a'],
      ['#2e6b4f', '#4c9a6d', '#86c490'],
      ['#d98cb0', '#f0b6cf', '#fbdce9'],
    ],
    i,
  );
  const crown = h * r.between(0.24, 0.29);
  const cy = h * 0.36;
  return {
    title: at(['An oak in summer', 'A maple in autumn', 'A lime tree', 'A cherry in blossom'], i),
    svg: `${sky(at(SKIES, i + 2), w, h)}<defs>${gradient('field', [at(GREENS, i + 1), '#3d6b35'])}${gradient('trunk', ['#3d2a1e', '#7a573c', '#3d2a1e'], { x2: 1, y2: 0 })}</defs>
      ${r.many(3, () => cloud(r.between(0, w), r.between(20, h * 0.3), r.between(0.6, 1.2), '#fff', 0.8))}
      <path d="M0 ${ground} Q${w * 0.3} ${ground - 34} ${w * 0.6} ${ground - 8} T${w} ${ground - 14} V${h} H0 z" fill="url(#field)"/>
      <ellipse cx="${x + 20}" cy="${ground + 14}" rx="${crown * 1.1}" ry="11" fill="#1e3a1c" opacity=".45" filter="url(#blur)"/>
      <path d="M${x - 14} ${ground + 12} Q${x - 8} ${cy + crown} ${x - 9} ${cy + 20} L${x + 9} ${cy + 20} Q${x + 8} ${cy + crown} ${x + 16} ${ground + 12} z" fill="url(#trunk)"/>
      <path d="M${x} ${cy + crown * 0.9} L${x - crown * 0.6} ${cy + 10} M${x} ${cy + crown * 0.7} L${x + crown * 0.6} ${cy}" stroke="#5b4030" stroke-width="7"/>
      ${r.many(90, () => {
        const a = r.between(0, Math.PI * 2);
        const d = Math.sqrt(r.between(0, 1)) * crown;
        const py = cy + Math.sin(a) * d * 0.86;
        const shade = py < cy - crown * 0.2 ? 2 : py < cy + crown * 0.35 ? 1 : 0;
        return `<circle cx="${x + Math.cos(a) * d * 1.15}" cy="${py}" r="${r.between(crown * 0.1, crown * 0.22)}" fill="${at(leaves, shade)}" opacity=".88"/>`;
      })}`,
  };
};

const flower: Painter = (r, i, w, h) => {
  const petals = at(
    [
      ['#e63946', '#ff8fa3'],
      ['#f4a300', '#ffe169'],
      ['#7b2cbf', '#c77dff'],
      ['#f8f9fa', '#ced4da'],
    ],
    i,
  );
  const count = at([8, 16, 6, 13], i);
  const cx = w * r.between(0.44, 0.56);
  const cy = h * r.between(0.4, 0.46);
  const length = h * r.between(0.27, 0.32);
  const turn = r.between(0, 40);
  const petal = (k: number) =>
    `<ellipse cx="0" cy="${-length * 0.6}" rx="${(length * 2.1) / count + 8}" ry="${length * 0.48}" fill="url(#petal)" stroke="${petals[0]}" stroke-opacity=".5" transform="rotate(${turn + (k * 360) / count})"/>`;
  return {
    title: at(['A red flower', 'A sunflower', 'A violet flower', 'A daisy'], i),
    svg: `<defs>${gradient(
      'back',
      at(
        [
          ['#27502f', '#7fb069'],
          ['#4b7fb5', '#b7d7ef'],
          ['#3b5b3a', '#b6c99a'],
          ['#2d6a4f', '#74c69d'],
        ],
        i,
      ),
    )}${BLUR}${gradient('petal', [petals[1] ?? '#fff', petals[0] ?? '#fff'])}${glow('disc', '#f9c74f', at(['#8d5a1b', '#3b2312', '#f9c74f', '#e09f3e'], i))}</defs>
      <rect width="${w}" height="${h}" fill="url(#back)"/>
      ${r.many(16, () => `<circle cx="${r.between(0, w)}" cy="${r.between(0, h)}" r="${r.between(12, 42)}" fill="${r.pick(['#d8f3dc', '#95d5b2', '#1b4332'])}" opacity="${r.between(0.08, 0.25)}" filter="url(#blur)"/>`)}
      <path d="M${cx} ${cy} Q${cx + 18} ${h * 0.75} ${cx - 6} ${h}" stroke="#3a7d44" stroke-width="9" fill="none"/>
      <path d="M${cx + 6} ${h * 0.8} q46 -44 84 -26 q-32 36 -84 26 z" fill="#4c956c"/><path d="M${cx} ${h * 0.88} q-50 -38 -88 -14 q38 32 88 14 z" fill="#40916c"/>
      <g transform="translate(${cx} ${cy})">${r.many(count, petal)}<circle r="${length * at([0.2, 0.42, 0.22, 0.28], i)}" fill="url(#disc)"/></g>`,
  };
};

const fish: Painter = (r, i, w, h) => {
  const body = at(
    [
      ['#ffb703', '#fb5607'],
      ['#48cae4', '#023e8a'],
      ['#f28482', '#84a59d'],
      ['#c9d6df', '#52616b'],
    ],
    i,
  );
  const cx = w * r.between(0.44, 0.54);
  const cy = h * r.between(0.42, 0.55);
  const s = (w / 400) * r.between(1.0, 1.25);
  const side = i % 2 ? -1 : 1;
  return {
    title: at(['A goldfish', 'A blue fish', 'A pink fish', 'A silver fish'], i),
    svg: `<defs>${gradient(
      'water',
      at(
        [
          ['#48bfe3', '#023e7d'],
          ['#64dfdf', '#1a5e63'],
          ['#56cfe1', '#22577a'],
          ['#89c2d9', '#013a63'],
        ],
        i,
      ),
    )}${BLUR}${gradient('body', body)}</defs>
      <rect width="${w}" height="${h}" fill="url(#water)"/>
      ${r.many(6, (k) => `<path d="M${(w * k) / 5 - 20} -10 L${(w * k) / 5 + 30} -10 L${(w * k) / 5 + r.between(60, 130)} ${h} L${(w * k) / 5 + 10} ${h} z" fill="#fff" opacity=".07"/>`)}
      <path d="M0 ${h} Q${w * 0.25} ${h * 0.84} ${w * 0.5} ${h * 0.92} T${w} ${h * 0.88} V${h} z" fill="#d4b483"/>
      ${r.many(5, () => {
        const x = r.between(0, w);
        return `<path d="M${x} ${h} q-14 -40 4 -70 q-12 -26 6 -56" stroke="#2a9d5c" stroke-width="7" fill="none" opacity=".85"/>`;
      })}
      <g transform="translate(${cx} ${cy}) scale(${s * side} ${s})">
        <path d="M-78 0 L-132 -44 Q-112 0 -132 44 z" fill="url(#body)"/>
        <path d="M-30 -42 Q10 -88 52 -40 z" fill="${body[1]}"/><path d="M-14 42 Q8 78 34 40 z" fill="${body[1]}"/>
        <path d="M-92 0 Q-30 -66 50 -46 Q104 -28 112 0 Q104 30 50 46 Q-30 66 -92 0 z" fill="url(#body)"/>
        ${r.many(5, (k) => `<path d="M${-40 + k * 24} -34 q14 34 0 68" stroke="#fff" stroke-opacity=".35" stroke-width="4" fill="none"/>`)}
        <circle cx="80" cy="-10" r="11" fill="#fff"/><circle cx="83" cy="-10" r="6" fill="#14213d"/><path d="M112 6 q-14 8 -22 4" stroke="#14213d" stroke-width="2.5" fill="none"/>
        <path d="M20 6 q26 10 6 32 q-22 -8 -6 -32 z" fill="${body[0]}" stroke="#fff" stroke-opacity=".4"/>
      </g>
      ${r.many(9, () => `<circle cx="${r.between(w * 0.1, w * 0.95)}" cy="${r.between(0, h * 0.7)}" r="${r.between(2.5, 7)}" fill="none" stroke="#fff" stroke-opacity=".7" stroke-width="1.6"/>`)}`,
  };
};

const car: Painter = (r, i, w, h) => {
  const paint = at(['#d62828', '#1d6fb8', '#f2b705', '#3f7d4e'], i);
  const road = h * 0.7;
  const cx = w * r.between(0.46, 0.54);
  const s = (w / 400) * r.between(1.05, 1.2);
  const side = i % 2 ? -1 : 1;
  return {
    title: at(['A red car', 'A blue car', 'A yellow car', 'A green car'], i),
    svg: `${sky(at(SKIES, i + 1), w, h)}<defs>${gradient('paint', [paint, '#33202a'])}${gradient('glass', ['#dff3ff', '#6d8ea3'])}</defs>
      ${r.many(7, (k) => {
        const bh = r.between(h * 0.16, h * 0.36);
        const bx = (k * w) / 7;
        return `<rect x="${bx}" y="${road - bh - 8}" width="${w / 7 - 6}" height="${bh + 8}" fill="${r.pick(['#8d99ae', '#a5a58d', '#b08968', '#7f8c99'])}"/>${r.many(6, (q) => `<rect x="${bx + 8 + (q % 2) * 18}" y="${road - bh + 6 + Math.floor(q / 2) * 18}" width="9" height="10" fill="#f6e7b0" opacity=".7"/>`)}`;
      })}
      <rect y="${road - 8}" width="${w}" height="10" fill="#b8b8aa"/><rect y="${road}" width="${w}" height="${h - road}" fill="#4a4e54"/>
      ${r.many(6, (k) => `<rect x="${k * (w / 5) - 20}" y="${h * 0.9}" width="46" height="5" fill="#f1f1e6"/>`)}
      <g transform="translate(${cx} ${road + 14}) scale(${s * side} ${s})">
        <ellipse cx="0" cy="24" rx="138" ry="9" fill="#111" opacity=".45" filter="url(#blur)"/>
        <path d="M-132 6 Q-136 -26 -100 -32 L-74 -36 Q-48 -78 -8 -78 H32 Q58 -78 82 -36 L118 -28 Q136 -22 134 6 z" fill="url(#paint)"/>
        <path d="M-60 -38 Q-40 -68 -12 -68 V-38 z" fill="url(#glass)"/><path d="M-2 -68 H30 Q50 -68 66 -38 H-2 z" fill="url(#glass)"/>
        <rect x="-132" y="-2" width="266" height="10" rx="4" fill="#222" opacity=".5"/><ellipse cx="126" cy="-14" rx="8" ry="6" fill="#fff3b0"/><ellipse cx="-126" cy="-16" rx="6" ry="7" fill="#ff4d4d"/>
        <path d="M6 -32 V4" stroke="#000" stroke-opacity=".3" stroke-width="2"/><rect x="14" y="-28" width="16" height="4" rx="2" fill="#eee"/>
        ${[-74, 76].map((x) => `<circle cx="${x}" cy="8" r="25" fill="#1b1b1e"/><circle cx="${x}" cy="8" r="13" fill="#c9ccd1"/><circle cx="${x}" cy="8" r="4" fill="#555"/>`).join('')}
      </g>`,
  };
};

const face: Painter = (r, i, w, h) => {
  const skin = at(['#f1c9a5', '#8d5a3b', '#e0a878', '#c98b5e'], i);
  const hair = at(['#4a2c17', '#1a1310', '#d9a441', '#8c8c8c'], i);
  const cx = w * r.between(0.47, 0.53);
  const cy = h * 0.46;
  const s = h / 300;
  return {
    title: at(
      ['Somebody with brown hair', 'Somebody with curls', 'Somebody with fair hair', 'Somebody with glasses'],
      i,
    ),
    svg: `<defs>${gradient(
      'wall',
      at(
        [
          ['#a8dadc', '#457b9d'],
          ['#f7d6bf', '#d98f6c'],
          ['#cfe1b9', '#718355'],
          ['#d8d8e8', '#8a8aa8'],
        ],
        i,
      ),
    )}${BLUR}${glow('skin', skin, skin)}${gradient(
      'shirt',
      at(
        [
          ['#e76f51', '#9c3d28'],
          ['#2a9d8f', '#175c54'],
          ['#264653', '#12232a'],
          ['#6d597a', '#3c2f45'],
        ],
        i,
      ),
    )}</defs>
      <rect width="${w}" height="${h}" fill="url(#wall)"/>
      <g transform="translate(${cx} ${cy}) scale(${s})">
        ${i === 2 ? `<path d="M-82 -20 Q-92 -112 0 -116 Q92 -112 82 -20 Q96 60 74 104 H-74 Q-96 60 -82 -20 z" fill="${hair}"/>` : ''}
        <path d="M-150 190 Q-140 102 -40 98 H40 Q140 102 150 190 z" fill="url(#shirt)"/><path d="M-28 60 H28 V104 Q0 124 -28 104 z" fill="${skin}" /><path d="M-28 84 Q0 106 28 84 V74 H-28 z" fill="#000" opacity=".15"/>
        <ellipse cx="-68" cy="4" rx="11" ry="18" fill="${skin}"/><ellipse cx="68" cy="4" rx="11" ry="18" fill="${skin}"/>
        <ellipse rx="68" ry="84" fill="${skin}"/>
        ${
          i === 1
            ? r.many(46, () => {
                const a = r.between(Math.PI * 1.02, Math.PI * 1.98);
                return `<circle cx="${Math.cos(a) * r.between(54, 86)}" cy="${Math.sin(a) * r.between(64, 104) + 6}" r="${r.between(11, 20)}" fill="${hair}"/>`;
              })
            : `<path d="M-72 -8 Q-76 -98 0 -102 Q76 -98 72 -8 Q58 -54 ${at([12, 0, -16, 20], i)} -58 Q-52 -56 -72 -8 z" fill="${hair}"/>`
        }
        ${[-27, 27].map((x) => `<ellipse cx="${x}" cy="-6" rx="12.5" ry="8.5" fill="#fff"/><circle cx="${x + 1}" cy="-6" r="6" fill="${at(['#5b7553', '#3b2417', '#4682b4', '#5c4a3a'], i)}"/><circle cx="${x + 1}" cy="-6" r="2.8" fill="#111"/><path d="M${x - 15} -24 q15 -9 30 0" stroke="${hair}" stroke-width="5" fill="none"/>`).join('')}
        ${i === 3 ? '<g fill="none" stroke="#222" stroke-width="4"><circle cx="-27" cy="-5" r="21"/><circle cx="27" cy="-5" r="21"/><path d="M-6 -7 h12"/></g>' : ''}
        <path d="M0 -2 q-8 24 -3 28 q6 4 12 0" stroke="#000" stroke-opacity=".35" stroke-width="3" fill="none"/>
        <path d="M-24 44 Q0 ${at([66, 60, 68, 56], i)} 24 44 Q0 52 -24 44 z" fill="#b23a48"/><circle cx="-42" cy="26" r="13" fill="#e5737d" opacity=".25"/><circle cx="42" cy="26" r="13" fill="#e5737d" opacity=".25"/>
      </g>`,
  };
};

const mountain: Painter = (r, i, w, h) => {
  const rock = at(
    [
      ['#5b6b7a', '#39444f'],
      ['#7a6a86', '#453a55'],
      ['#6f7d6a', '#3f4a3d'],
      ['#8a6f5d', '#54402f'],
    ],
    i,
  );
  const peaks = Array.from({ length: 4 }, (_, k) => ({
    x: w * (0.08 + 0.28 * k) + r.between(-24, 24),
    y: h * r.between(0.14, 0.34),
  }));
  const base = h * 0.72;
  const half = w * 0.26;
  const draw = ({ x, y }: { x: number; y: number }) => {
    const line = y + (base - y) * 0.3;
    const reach = half * 0.3;
    return `<path d="M${x - half} ${base} L${x} ${y} L${x + half} ${base} z" fill="${rock[0]}"/><path d="M${x} ${y} L${x + half} ${base} H${x + half * 0.1} L${x - half * 0.08} ${y + (base - y) * 0.5} z" fill="${rock[1]}"/>
      <path d="M${x} ${y} L${x + reach} ${line} L${x + reach * 0.5} ${line - 7} L${x + reach * 0.1} ${line + 9} L${x - reach * 0.4} ${line - 5} L${x - reach} ${line} z" fill="#fbfdff"/>`;
  };
  return {
    title: at(
      ['Snow on grey mountains', 'Violet mountains', 'Green mountains and a lake', 'Brown mountains'],
      i,
    ),
    svg: `${sky(at([SKIES[0], ['#5d5a93', '#d7a1b5', '#fbe0c8'], SKIES[2], SKIES[3]], i), w, h)}<defs>${gradient('lake', ['#8fc1dd', '#2b5f82'])}</defs>
      ${r.many(3, () => cloud(r.between(0, w), r.between(16, h * 0.2), r.between(0.7, 1.3), '#fff', 0.75))}
      ${peaks.map(draw).join('')}
      <path d="M0 ${base} Q${w * 0.3} ${base - 22} ${w * 0.55} ${base - 6} T${w} ${base - 16} V${h} H0 z" fill="#3f6b45"/>
      ${i % 2 === 0 ? `<path d="M0 ${h * 0.84} Q${w / 2} ${h * 0.77} ${w} ${h * 0.85} V${h} H0 z" fill="url(#lake)"/>` : ''}
      ${r.many(22, () => {
        const x = r.between(0, w);
        const y = r.between(base - 4, h * 0.82);
        const t = r.between(9, 17);
        return `<path d="M${x - t * 0.5} ${y} L${x} ${y - t * 2} L${x + t * 0.5} ${y} z" fill="${r.pick(['#1f4d33', '#2d5f3c', '#173a29'])}"/>`;
      })}`,
  };
};

export const SCENES: Readonly<Record<string, Painter>> = {
  sunset,
  house,
  tree,
  flower,
  fish,
  car,
  face,
  mountain,
};
