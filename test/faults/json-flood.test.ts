import { describe, expect, it } from 'vitest';
import { startGatewayProcess } from '../support/gateway-process.ts';

const MIB = 2 ** 20;
const list = (item: string, size: number) =>
  `{"input":[${`${item},`.repeat(size / (item.length + 1))}${item}]}`;

/** Promise: a body costs in proportion to its pictures; one that is none ends nothing and keeps nobody waiting. */
describe('JSON bodies that hold as many values as fit', () => {
  it('are refused in little time and memory (heap of 80 MB)', async () => {
    const gateway = await startGatewayProcess();
    let dead = false;
    void gateway.exited.then(() => {
      dead = true;
    });
    const bodies = {
      'zeros, 1 MiB': list('0', MIB),
      'zeros, 31 MiB': list('0', 31 * MIB),
      'objects, 31 MiB': list('{"image":""}', 31 * MIB),
      'strings, 31 MiB': list('""', 31 * MIB),
      'arrays, 31 MiB': list('[]', 31 * MIB),
      'nesting, 31 MiB': '['.repeat(31 * MIB),
      'members, 31 MiB': `{${Array.from({ length: 2 * MIB }, (_, i) => `"m${i}":0`).join(',')}}`,
      'a number, 31 MiB': `{"input":${'9'.repeat(31 * MIB)}}`,
    };
    try {
      for (const [name, body] of Object.entries(bodies)) {
        const response = await fetch(`${gateway.url}/v1/embeddings`, {
          method: 'POST',
          body,
          headers: { 'Content-Type': 'application/json' },
        });
        const problem = (await response.json()) as { code: string; of?: string }; // problem details
        expect([name, response.status, problem.code]).toEqual([name, 400, 'malformed-body']);
        // Refused by what was counted, not by what was made of it.
        expect([name, problem.of]).toEqual([name, expect.stringMatching(/^(values|depth|token)$/)]);
      }
      const form = `--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n`.repeat(400_000);
      const response = await fetch(`${gateway.url}/v1/embed`, {
        method: 'POST',
        body: form,
        headers: { 'Content-Type': 'multipart/form-data; boundary=b' },
      });
      expect(await response.json()).toMatchObject({ code: 'too-many-inputs' });
      expect(dead).toBe(false);
      // The bodies themselves and a runtime; each of them made into values takes a gigabyte and more.
      if (process.platform === 'linux') expect(await gateway.memory()).toBeLessThan(600 * MIB);
    } finally {
      gateway.kill('SIGKILL');
      await gateway.exited;
    }
  });
});
