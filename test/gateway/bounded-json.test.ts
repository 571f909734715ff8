import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkJson, JSON_LIMITS, parseBoundedJson } from '../../src/gateway/bounded-json.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const limits = { ...JSON_LIMITS, depth: 3, values: 10, token: 20, escapes: 5, blanks: 30 };
const refusal = (text: string) => {
  try {
    checkJson(bytes(text), limits);
    return 'taken';
  } catch (error) {
    return (error as { details: { of: string } }).details.of; // a Problem
  }
};

describe('JSON whose bytes are looked through first', () => {
  it.each([
    ['[[[1]]]', 'taken'],
    ['[[[[1]]]]', 'depth'],
    ['{"a":{"b":{"c":{}}}}', 'depth'],
    ['"[[[[[[{{{{{{"', 'taken'],
    ['["]","}","[[[["]', 'taken'],
    ['[0,0,0,0,0,0,0,0,0]', 'taken'],
    ['[0,0,0,0,0,0,0,0,0,0]', 'values'],
    ['{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j":0}', 'values'],
    ['",,,,,,,,,,,,,,,,,,,,,"', 'taken'],
    ['12345678901234567890', 'taken'],
    ['123456789012345678901', 'token'],
    ['["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 1]', 'taken'],
    [String.raw`"\"\"\"\"\""`, 'taken'],
    [String.raw`"\"\"\"\"\"\""`, 'escapes'],
    [String.raw`["\\", [[[0]]]]`, 'depth'],
    [String.raw`["\\\"[[[[[", 0]`, 'taken'],
    [`[${' '.repeat(30)}]`, 'taken'],
    [`[${' '.repeat(31)}]`, 'blanks'],
  ])('%s: %s', (text, outcome) => {
    expect(refusal(text)).toBe(outcome);
  });

  it('gives what JSON.parse gives, or fails as it does, whatever the text', () => {
    const outcome = (parse: () => unknown) => {
      try {
        return { value: parse() };
      } catch (error) {
        return { error: (error as Error).name };
      }
    };
    const broken = fc.tuple(fc.json(), fc.nat(), fc.string({ maxLength: 3 })).map(([text, at, junk]) => {
      const place = at % (text.length + 1);
      return text.slice(0, place) + junk + text.slice(place);
    });
    fc.assert(
      fc.property(fc.oneof(fc.json(), broken), (text) => {
        expect(outcome(() => parseBoundedJson(bytes(text)))).toEqual(outcome(() => JSON.parse(text)));
      }),
      { numRuns: 2000 },
    );
  });

  it('counts as a literal reading of the text does', () => {
    /** Values of a parsed text: every member, element and the whole. */
    const count = (value: unknown): number =>
      typeof value === 'object' && value !== null
        ? 1 + Object.values(value).reduce((sum: number, inner) => sum + count(inner), 0)
        : 1;
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), (text) => {
        const values = count(JSON.parse(text));
        const most = { ...JSON_LIMITS, depth: 100 };
        // Members of one name are one member of the value, but two of the text.
        expect(() => checkJson(bytes(text), { ...most, values: values * 2 + 2 })).not.toThrow();
        if (values > 4)
          expect(() => checkJson(bytes(text), { ...most, values: Math.floor(values / 4) - 1 })).toThrow();
      }),
      { numRuns: 500 },
    );
  });
});
