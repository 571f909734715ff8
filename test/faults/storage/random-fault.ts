import type { Fault } from './faulty-proxy.ts';

/** One of all faults. @param random numbers in [-1, 1) */
export function randomFault(random: () => number): Fault {
  const number = (below: number) => Math.floor(((random() + 1) / 2) * below);
  const faults: readonly Fault[] = [
    { kind: 'reset' },
    { kind: 'lost-answer' },
    { kind: 'slow-down' },
    { kind: 'refuse', status: 500, code: 'InternalError' },
    { kind: 'silence' },
    { kind: 'stall', after: number(5000) },
    { kind: 'cut', after: number(5000) },
    { kind: 'shorten', by: 1 + number(100) },
    { kind: 'flip', at: number(100_000) },
  ];
  return faults[number(faults.length)] ?? { kind: 'reset' };
}
