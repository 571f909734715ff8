import { readFileSync } from 'node:fs';

/** What Linux counts in hundredths of a second for all cores: idle, waiting for disks, and everything else. */
function jiffies(): { busy: number; all: number } | undefined {
  try {
    const [, ...fields] = (readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '').trim().split(/\s+/);
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are counted under user already.
    const counted = fields.slice(0, 8).map(Number);
    const all = counted.reduce((sum, count) => sum + count, 0);
    return { busy: all - (counted[3] ?? 0) - (counted[4] ?? 0), all };
  } catch {
    return undefined;
  }
}

/**
 * How much of all cores something else than this process takes, hypervisors included, from now until the returned function
 * is called.
 * @returns a share, 0 to 1; `undefined` where there is no /proc/stat
 */
export function othersShare(): () => number | undefined {
  const [before, own] = [jiffies(), process.cpuUsage()];
  return function share() {
    const [after, used] = [jiffies(), process.cpuUsage(own)];
    if (!before || !after || after.all === before.all) return undefined;
    const mine = (used.user + used.system) / 1e4;
    return Math.max(0, after.busy - before.busy - mine) / (after.all - before.all);
  };
}
