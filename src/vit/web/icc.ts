/** What a colour profile makes of pixels `[n, 4]`: sRGB, in place; alpha stays. */
export type ToSrgb = (rgba: Uint8Array | Uint8ClampedArray) => void;

type Curve = (value: number) => number;
/** Three rows of three. */
type Matrix = readonly number[];

/** XYZ of the D50 white to linear sRGB: the inverse of the colorants that ICC's own sRGB profile has. */
const XYZ_TO_SRGB: Matrix = [
  3.1341359, -1.6173863, -0.4906619, -0.9787954, 1.9162543, 0.0334427, 0.0719553, -0.2289768, 1.4053861,
];
const STEPS = 4095;
const encode = (v: number) => (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055);
const SRGB = Uint8Array.from({ length: STEPS + 1 }, (_, i) => Math.round(255 * encode(i / STEPS)));

/**
 * A profile of three curves and a matrix (ICC.1:2022, 8.3: display profiles of phones, cameras and screens), or of one curve for
 * grey.
 * @returns how pixels become sRGB; `none` where the profile is damaged or of another colour space than RGB and grey (Pillow and
 *   libvips then go without it, too); `tables` where it has look-up tables, which are not read here
 */
export function readProfile(profile: Uint8Array): ToSrgb | 'none' | 'tables' {
  try {
    return read(profile);
  } catch (error) {
    if (error instanceof RangeError) return 'none';
    throw error;
  }
}

function read(profile: Uint8Array): ToSrgb | 'none' | 'tables' {
  const view = new DataView(profile.buffer, profile.byteOffset, profile.byteLength);
  const text = (at: number) => String.fromCharCode(...profile.subarray(at, at + 4));
  if (text(36) !== 'acsp') return 'none';
  const tags = new Map<string, number>();
  for (let i = 0; i < Math.min(100, view.getUint32(128)); i++)
    tags.set(text(132 + 12 * i), view.getUint32(136 + 12 * i));
  const fixed = (at: number) => view.getInt32(at) / 65_536;
  const curve = (tag: string) => readCurve(view, tags.get(tag) ?? profile.length, text, fixed);
  if (text(16) === 'GRAY' && tags.has('kTRC')) {
    const grey = curve('kTRC');
    return converter([grey, grey, grey], [1, 0, 0, 0, 1, 0, 0, 0, 1]);
  }
  if (text(16) !== 'RGB ') return 'none';
  if (tags.has('A2B0')) return 'tables';
  const colorants = ['rXYZ', 'gXYZ', 'bXYZ'].map((tag) => (tags.get(tag) ?? profile.length) + 8);
  const toXyz = [0, 4, 8].flatMap((row) => colorants.map((at) => fixed(at + row)));
  return converter([curve('rTRC'), curve('gTRC'), curve('bTRC')], product(XYZ_TO_SRGB, toXyz));
}

/** `curv` and `para` (ICC.1:2022, 10.6 and 10.18). */
function readCurve(
  view: DataView,
  at: number,
  text: (at: number) => string,
  fixed: (at: number) => number,
): Curve {
  if (text(at) === 'curv') {
    const count = view.getUint32(at + 8);
    if (count === 0) return (x) => x;
    if (count === 1) return (x) => x ** (view.getUint16(at + 12) / 256);
    const points = Array.from({ length: count }, (_, i) => view.getUint16(at + 12 + 2 * i) / 65_535);
    return (x) => {
      const place = x * (count - 1);
      const below = Math.min(count - 2, Math.floor(place));
      const [low = 0, high = 0] = points.slice(below, below + 2);
      return low + (place - below) * (high - low);
    };
  }
  if (text(at) !== 'para') throw new RangeError('no curve');
  const kind = view.getUint16(at + 8);
  const lengths = [1, 3, 4, 5, 7];
  const [g = 1, a = 1, b = 0, c = 0, d = 0, e = 0, f = 0] = Array.from(
    { length: lengths[kind] ?? 0 },
    (_, i) => fixed(at + 12 + 4 * i),
  );
  switch (kind) {
    case 0:
      return (x) => x ** g;
    case 1:
      return (x) => (x >= -b / a ? (a * x + b) ** g : 0);
    case 2:
      return (x) => (x >= -b / a ? (a * x + b) ** g + c : c);
    case 3:
      return (x) => (x >= d ? (a * x + b) ** g : c * x);
    case 4:
      return (x) => (x >= d ? (a * x + b) ** g + e : c * x + f);
    default:
      throw new RangeError('no curve');
  }
}

function product(left: Matrix, right: Matrix): Matrix {
  return Array.from({ length: 9 }, (_, i) =>
    [0, 1, 2].reduce(
      (sum, k) => sum + (left[3 * Math.floor(i / 3) + k] ?? 0) * (right[3 * k + (i % 3)] ?? 0),
      0,
    ),
  );
}

function converter(curves: readonly Curve[], matrix: Matrix): ToSrgb {
  const linear = curves.map((curve) => Float64Array.from({ length: 256 }, (_, i) => curve(i / 255)));
  const [red = new Float64Array(), green = new Float64Array(), blue = new Float64Array()] = linear;
  const [m0 = 0, m1 = 0, m2 = 0, m3 = 0, m4 = 0, m5 = 0, m6 = 0, m7 = 0, m8 = 0] = matrix;
  const coded = (v: number) => SRGB[Math.round(Math.min(1, Math.max(0, v)) * STEPS)] ?? 0;
  return (rgba) => {
    for (let i = 0; i + 3 < rgba.length; i += 4) {
      const r = red[rgba[i] ?? 0] ?? 0;
      const g = green[rgba[i + 1] ?? 0] ?? 0;
      const b = blue[rgba[i + 2] ?? 0] ?? 0;
      rgba[i] = coded(m0 * r + m1 * g + m2 * b);
      rgba[i + 1] = coded(m3 * r + m4 * g + m5 * b);
      rgba[i + 2] = coded(m6 * r + m7 * g + m8 * b);
    }
  };
}
