/** Writes deploy/grafana/dashboard.json from dashboard.ts: `node deploy/grafana/render.ts` */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { dashboard } from './dashboard.ts';

export const DASHBOARD_FILE = join(import.meta.dirname, 'dashboard.json');

/** As it is committed. */
export function dashboardText(): string {
  return `${JSON.stringify(dashboard(), null, 1)}\n`;
}

if (import.meta.main) await writeFile(DASHBOARD_FILE, dashboardText());
