import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void; // what the flag has just put there

/** Memory that the process takes when its garbage is gone; freed buffers go back to the system some time after they were collected. */
export async function residentBytes(): Promise<number> {
  for (let round = 0; round < 4; round++) {
    collect();
    await new Promise((done) => setTimeout(done, 50));
  }
  return process.memoryUsage.rss();
}
