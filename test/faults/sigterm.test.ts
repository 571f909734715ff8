import { describe, expect, it } from 'vitest';
import { startGatewayProcess } from '../support/gateway-process.ts';
import { picture } from '../support/pictures.ts';
import { until } from '../support/until.ts';

/** Promise: SIGTERM under load loses no accepted request, refuses new ones with 503, and ends in bounded time. */
describe('SIGTERM under load', () => {
  it('finishes what was accepted and exits with 0', async () => {
    const gateway = await startGatewayProcess();
    const { url } = gateway;
    const image = await picture();
    const outcomes: (number | 'refused')[] = [];
    let stopping = false;
    const callers = Array.from({ length: 16 }, async () => {
      for (let i = 0; i < 400; i++) {
        const outcome = await fetch(`${url}/v1/embed`, {
          method: 'POST',
          body: image,
          headers: { 'Content-Type': 'image/png' },
        }).then(
          async (response) => {
            await response.arrayBuffer();
            return response.status;
          },
          (error: Error) => {
            // A closed port refuses before anything is accepted; a reset of an accepted request would be a loss.
            const code = (error.cause as { code?: string } | undefined)?.code;
            expect(['ECONNREFUSED', 'UND_ERR_SOCKET', 'ECONNRESET']).toContain(code);
            return 'refused' as const;
          },
        );
        outcomes.push(outcome);
        if (outcome !== 200) {
          expect(stopping).toBe(true);
          return;
        }
      }
    });
    await until(() => outcomes.length > 50);
    stopping = true;
    const began = performance.now();
    gateway.kill('SIGTERM');
    await Promise.all(callers);
    expect(await gateway.exited).toBe(0);
    expect(performance.now() - began).toBeLessThan(10_000);
    expect(outcomes.filter((outcome) => outcome === 200).length).toBeGreaterThan(50);
    expect(outcomes.filter((outcome) => outcome !== 200 && outcome !== 503 && outcome !== 'refused')).toEqual(
      [],
    );
  });
});
