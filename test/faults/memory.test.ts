import { describe, expect, it } from 'vitest';
import { startGatewayProcess } from '../support/gateway-process.ts';
import { picture } from '../support/pictures.ts';

/** About what a busy tier of this size asks in an hour: one request a second, and a problem now and then. */
const REQUESTS = 3600;

/** Growth over half an hour's worth of requests that counts as none, and when that has to be reached. */
const SETTLED = 1.02;
const MOST_HALVES = 10;

/** Promise: memory does not grow with the number of requests. */
describe.skipIf(process.platform !== 'linux')('memory', () => {
  it('grows by less than 5 % over an hour’s worth of requests, refused and broken ones included', async () => {
    const gateway = await startGatewayProcess();
    try {
      const image = await picture();
      const broken = image.slice(0, 40);
      let sent = 0;
      const run = (until: number) =>
        Promise.all(
          Array.from({ length: 8 }, async () => {
            while (sent < until) {
              const body = sent++ % 10 === 0 ? broken : image;
              const headers = {
                'Content-Type': 'image/png',
                'Compute-Budget': sent % 7 === 0 ? 'flops=2' : 'level=0',
              };
              const response = await fetch(`${gateway.url}/v1/embed`, { method: 'POST', body, headers });
              await response.arrayBuffer();
            }
          }),
        );
      // The heap and the allocators find their size first; what grows for ever never settles.
      let before = await gateway.memory();
      let growth = Number.POSITIVE_INFINITY;
      for (let half = 1; growth > SETTLED && half <= MOST_HALVES; half++) {
        await run((half * REQUESTS) / 2);
        const now = await gateway.memory();
        growth = now / before;
        before = now;
      }
      expect(growth).toBeLessThan(SETTLED);
      await run(sent + REQUESTS);
      expect((await gateway.memory()) / before).toBeLessThan(1.05);
    } finally {
      gateway.kill('SIGKILL');
      await gateway.exited;
    }
  }, 400_000);
});
