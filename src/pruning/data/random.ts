/**
 * Seeded random numbers: xoshiro128** 1.1 (Blackman & Vigna 2018), its state filled by splitmix32. Not for secrets.
 * A generator is one stream; independent streams of one seed are told apart by labels, so that the numbers drawn for
 * one picture do not depend on how many were drawn for the pictures before it.
 */
export interface Random {
  /** Uniform in [0, 2^32). */
  uint32(): number;
  /** Uniform in [0, 1), 53 bits. */
  uniform(): number;
  /** Uniform integer in [0, limit). */
  integer(limit: number): number;
  /** Standard normal (Box & Muller 1958). */
  normal(): number;
}

/** @param labels what the stream is for: `createRandom(seed, 'views', image)` */
export function createRandom(seed: number, ...labels: readonly (string | number)[]): Random {
  const next = splitmix32(hash([seed, ...labels].join('\u0000')));
  return fromState([next(), next(), next(), next()]);
}

/** The generator on a given state (not all zero); exported to be checked against the published recurrence. */
export function fromState(state: readonly [number, number, number, number]): Random {
  let [a, b, c, d] = state;
  let spare: number | undefined;

  function uint32(): number {
    const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
    return result;
  }
  function uniform(): number {
    return ((uint32() >>> 5) * 2 ** 26 + (uint32() >>> 6)) / 2 ** 53;
  }
  function normal(): number {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }
  return { uint32, uniform, integer: (limit) => Math.floor(uniform() * limit), normal };
}

/** The items in random order (Fisher & Yates); the input is left alone. */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const result = [...items];
  for (let last = result.length - 1; last > 0; last--) {
    const other = random.integer(last + 1);
    // Both positions are within the array, so the elements are there.
    [result[last], result[other]] = [result[other] as T, result[last] as T];
  }
  return result;
}

function rotateLeft(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by));
}

/** FNV-1a over UTF-16 units: 32 bits from any label. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  return value >>> 0;
}

function splitmix32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
}
