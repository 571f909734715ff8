/**
 * Overload: open-loop arrivals at multiples of the full network's capacity, three tiers, elastic against always-full and
 * always-smallest on the same engine. Ten minutes on two cores; wants them for itself.
 * `npm run bench -- overload [--quick] [--json] [--seconds 12] [--out folder]`; `--http [--store folder]` is the same
 * through sockets, with JPEGs, the gateway on one core and its callers on another; two minutes beside the pruning.
 */
import { parseArgs } from 'node:util';
import { servedNetwork } from '../common/served-network.ts';
import { ARRIVALS, capacityOf, drive, LOADS, POLICIES, type Result } from './drive.ts';
import { overHttp } from './http.ts';
import { publish } from './report.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    json: { type: 'boolean' },
    seconds: { type: 'string' },
    out: { type: 'string' },
    http: { type: 'boolean' },
    /** Of `--http`: a folder with a published model, instead of pruning one. */
    store: { type: 'string' },
  },
});
const seconds = Number(values.seconds ?? (values.quick ? 2 : 12));
if (values.http) {
  await overHttp({ ...values, seconds });
  process.exit();
}
const calibration = values.quick ? 150 : 600;

const { model, what } = await servedNetwork(values.quick ? 'quick' : 'best');
try {
  // Not counted: the first images of a process are slower.
  await capacityOf(model, calibration);
  const results: Result[] = [];
  for (const arrivals of ARRIVALS)
    for (const load of LOADS) {
      const capacity = await capacityOf(model, calibration);
      for (const policy of POLICIES) {
        const result = await drive(model, { policy, arrivals, load, seconds, capacity });
        results.push(result);
        report(result);
      }
    }
  if (values.out !== undefined) await publish(values.out, results, { seconds, what });
} finally {
  await model.retire();
}

function report(result: Result): void {
  if (values.json) {
    process.stdout.write(`${JSON.stringify(result)}\n`);
    return;
  }
  const { arrivals, load, policy, inTime, goodput, fidelity, others = 0 } = result;
  process.stderr.write(
    `${arrivals} ${load}x ${policy}: ${(100 * inTime).toFixed(1)} % in time, ${goodput.toFixed(0)}/s, fidelity ${fidelity.toFixed(4)}, other programs ${(100 * others).toFixed(0)} %\n`,
  );
}
