import { InvalidArgumentError, Option } from 'commander';
import { DEVICES } from '../engine/devices.ts';

/** `--store`, which every command takes, from the environment too. */
export function storeOption(): Option {
  return new Option('--store <url>', 'object store: folder, file:///path, s3://bucket/prefix')
    .env('CONCERTINA_STORE')
    .default('./.concertina/store');
}

export function deviceOption(): Option {
  return new Option('--device <name>', 'where the network runs')
    .env('CONCERTINA_DEVICE')
    .choices(DEVICES)
    .default('auto');
}

export function precisionOption(): Option {
  return new Option('--precision <name>', 'what levels are computed in; auto: all that the checkpoint has')
    .env('CONCERTINA_PRECISION')
    .choices(['auto', 'fp32', 'int8'])
    .default('auto');
}

export function packingOption(): Option {
  return new Option(
    '--packing <levels>',
    'levels whose weights every engine worker keeps packed, faster for more memory; auto: by what is free',
  )
    .env('CONCERTINA_PACKING')
    .choices(['auto', 'none', 'full', 'all'])
    .default('auto');
}

/** Limits of one request; a tier may set others. */
export const limitOptions = {
  bodyBytes: () => limit('--max-body <bytes>', 'bytes of a request body (default: 32 MiB)', 'BODY_BYTES'),
  bodyMs: () => limit('--max-body-ms <ms>', 'time for a body to arrive (default: 30000)', 'BODY_MS'),
  inputs: () => limit('--max-inputs <number>', 'images of one request (default: 2048)', 'INPUTS'),
  pixels: () => limit('--max-pixels <number>', 'pixels of one image (default: 50000000)', 'PIXELS'),
};

function limit(flag: string, description: string, name: string): Option {
  return new Option(flag, description).env(`CONCERTINA_${name}`).argParser(whole(1, 2 ** 40));
}

export function jsonOption(): Option {
  return new Option('--json', 'one JSON object per line on standard output');
}

/** A whole number in a range. */
export function whole(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= low && value <= high) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${low} to ${high}.`);
  };
}

/** `8` or `0.3,0.5,1`. */
export function levels(text: string): number | number[] {
  if (/^\d+$/.test(text)) return whole(2, 64)(text);
  const shares = text.split(',').map(Number);
  const ascending = shares.every((share, i) => share > (shares[i - 1] ?? 0) && share <= 1);
  if (ascending) return shares;
  throw new InvalidArgumentError(
    'It must be a number of levels, or ascending FLOP shares such as 0.3,0.5,1.',
  );
}
