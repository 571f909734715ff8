import fc from 'fast-check';

const KEYS = ['latency', 'flops', 'gflops', 'level', 'fidelity', 'deadline', 'aim'];
const OTHERS = [
  'flop',
  'Latency',
  'fidelty',
  'constructor',
  '__proto__',
  'toString',
  'strict',
  'each',
  'half',
  '',
];
const VALUES = [
  '0.5',
  '1',
  '40',
  '0.9995',
  '.5',
  '70%',
  '20ms',
  '-1',
  '1e3',
  '"0.5"',
  'best',
  'cheapest',
  'abc',
  '',
];

const key = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...KEYS) },
  { weight: 1, arbitrary: fc.constantFrom(...OTHERS) },
  { weight: 1, arbitrary: fc.string({ maxLength: 12 }) },
);
const value = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.double({ min: 1e-6, max: 100, noNaN: true }).map((number) => number.toFixed(4)),
  },
  { weight: 4, arbitrary: fc.constantFrom(...VALUES) },
  { weight: 1, arbitrary: fc.string({ maxLength: 8 }) },
);
const written = fc
  .tuple(key, fc.option(fc.tuple(fc.constantFrom('=', '=', '=', '=', ' = ', ':'), value)))
  .map(([name, rest]) => name + (rest ? rest.join('') : ''));
const parameters = fc.array(fc.oneof(fc.constantFrom('strict', 'strict=1', 'strict=?1'), written), {
  maxLength: 2,
});
const member = fc.tuple(written, fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, parameters));

/** Texts that look like budgets, with terms, parameters and values that there are and that there are not; and any text at all. */
export const budgetText: fc.Arbitrary<string> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .tuple(fc.array(member, { maxLength: 4 }), fc.constantFrom(', ', ', ', ',', ' ', ';'))
      .map(([members, between]) => members.map(([term, more]) => [term, ...more].join(';')).join(between)),
  },
  { weight: 1, arbitrary: fc.string({ maxLength: 200 }) },
);
