import { createHash } from 'node:crypto';

/**
 * The name under which a finished step is kept: with a digest of what it was made of, so that another setting, order of units or
 * variant does not go on from it, and everything that does not depend on them does.
 * @param inputs what decides the result beside network, pictures, seed, device and code, which the folder stands for: data as
 *   JSON has it, and arrays of numbers
 */
export function stepName(name: string, inputs: unknown): string {
  return `${name}.${digestOf(inputs).slice(0, 16)}`;
}

/** sha256 of data as JSON has it, with maps as their entries and arrays of numbers by the digest of their bytes. */
export function digestOf(data: unknown): string {
  const plain = (_: string, value: unknown): unknown => {
    if (value instanceof Map) return [...value];
    if (!ArrayBuffer.isView(value)) return value;
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    return [value.constructor.name, createHash('sha256').update(bytes).digest('hex')];
  };
  return createHash('sha256').update(JSON.stringify(data, plain)).digest('hex');
}
