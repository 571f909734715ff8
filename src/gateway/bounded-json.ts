import { Problem } from '../problem/index.ts';

/** What a JSON body may hold. A body within its bytes can still take a hundred times as much memory and time as a picture. */
export interface JsonLimits {
  /** Objects and arrays inside one another. */
  readonly depth: number;
  /** Values of all kinds: members, elements, and the whole. */
  readonly values: number;
  /** Bytes of a number or a word. */
  readonly token: number;
  /** Escapes inside strings; base64 in lines of 76 has one for each. */
  readonly escapes: number;
  /** Blanks between values. */
  readonly blanks: number;
}

/** Room for 2048 inputs of a few members each, and for a body of base64 in lines. */
export const JSON_LIMITS: JsonLimits = {
  depth: 32,
  values: 10_000,
  token: 400,
  escapes: 1_000_000,
  blanks: 1_000_000,
};

const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a];
const [OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY] = [0x7b, 0x7d, 0x5b, 0x5d];
const SPACE = 0x20;

/**
 * Parses JSON whose bytes were looked through before: what is too deep, too many or too long is refused before any of it
 * becomes a value. Strings are skipped as a whole, so that a picture costs no more than finding its end.
 * @throws SyntaxError, TypeError (no UTF-8), or Problem('malformed-body') for what is beyond the limits
 */
export function parseBoundedJson(bytes: Uint8Array, limits: JsonLimits = JSON_LIMITS): unknown {
  checkJson(bytes, limits);
  return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
}

/** @throws Problem('malformed-body') naming the limit and the place */
export function checkJson(bytes: Uint8Array, limits: JsonLimits = JSON_LIMITS): void {
  let [depth, values, token, blanks] = [0, 1, 0, 0];
  const endOfString = stringEnds(bytes, limits);
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte <= SPACE) {
      if (++blanks > limits.blanks) throw tooMuch('blanks', limits.blanks, 'blanks', at);
      token = 0;
      continue;
    }
    switch (byte) {
      case QUOTE:
        at = endOfString(at + 1);
        token = 0;
        break;
      case OPEN_OBJECT:
      case OPEN_ARRAY:
        if (++depth > limits.depth) throw tooMuch('depth', limits.depth, 'levels of nesting', at);
        if (++values > limits.values) throw tooMuch('values', limits.values, 'values', at);
        token = 0;
        break;
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        depth--;
        token = 0;
        break;
      case COMMA:
        if (++values > limits.values) throw tooMuch('values', limits.values, 'values', at);
        token = 0;
        break;
      case COLON:
        token = 0;
        break;
      default:
        if (++token > limits.token) throw tooMuch('token', limits.token, 'characters in one number', at);
    }
  }
}

/** Finds the quotation mark that ends the string beginning at an index; the length of all where there is none. */
function stringEnds(bytes: Uint8Array, limits: JsonLimits): (start: number) => number {
  const next = (byte: number, from: number) => {
    const at = bytes.indexOf(byte, from);
    return at < 0 ? bytes.length : at;
  };
  // Searched for once, not once a string: most bodies have none.
  let backslash = -1;
  let escapes = 0;
  return function endOfString(start) {
    let at = start;
    let quote = next(QUOTE, at);
    for (;;) {
      if (backslash < at) backslash = next(BACKSLASH, at);
      if (backslash >= quote) return quote;
      if (++escapes > limits.escapes)
        throw tooMuch('escapes', limits.escapes, 'escapes in its strings', backslash);
      at = backslash + 2;
      if (quote < at) quote = next(QUOTE, at);
    }
  };
}

function tooMuch(name: keyof JsonLimits, limit: number, what: string, position: number): Problem {
  return new Problem(
    'malformed-body',
    `The JSON body has more than ${limit} ${what} (at byte ${position}). Send fewer images at a time, each as one string.`,
    { limit, of: name, position },
  );
}
