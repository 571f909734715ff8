/**
 * `npm run deploy:check`: packages serverless.yml for every stage with osls and validates the templates, bundles the Worker
 * with wrangler, and validates the Knative and Kubernetes manifests. Needs no account and no network. Exits with 1 when
 * something does not package or has an error.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CelEngine, TemplateFile } from '@aws/cloudformation-validate';
import { readTiers } from '../src/host/index.ts';
import { bundleWorker, workerErrors } from './check-worker.ts';
import { checkManifests } from './kubernetes/check.ts';

const run = promisify(execFile);
export const STAGES = ['dev', 'prod'] as const;

/** W3030 (a value outside a documented enumeration) is a deployment that fails: an error here. */
const ERRORS = new Set(['W3030']);

export interface Finding {
  readonly rule: string;
  readonly severity: string;
  readonly message: string;
}

/** Packages one stage; returns the path of the CloudFormation template inside `folder`. */
export async function packageStage(stage: string, folder: string): Promise<string> {
  // Who is told of alarms has to be named; here it is nobody.
  const given = ['--param', 'alarmEmail=nobody@example.com'];
  await run('npx', ['osls', 'package', '--stage', stage, '--package', folder, ...given], {
    cwd: join(import.meta.dirname, '..'),
    env: { ...process.env, SLS_TRACKING_DISABLED: '1', SLS_NOTIFICATIONS_MODE: 'off' },
  });
  return join(folder, 'cloudformation-template-update-stack.json');
}

/** Errors of a template, by AWS's own offline validator (provider schemas, state machine language, cfn-lint rules). */
export function validateTemplate(path: string): Finding[] {
  const engine = new CelEngine();
  try {
    const report = engine.validateStandard(new TemplateFile(path));
    return report.diagnostics
      .filter((found) => found.severity === 'FATAL' || found.severity === 'ERROR' || ERRORS.has(found.ruleId))
      .map((found) => ({ rule: found.ruleId, severity: found.severity, message: found.message }));
  } finally {
    engine.free();
  }
}

/** Prints one line and the errors below it. @returns how many there were */
function report(what: string, errors: readonly string[]): number {
  process.stdout.write(`${what}: ${errors.length === 0 ? 'valid' : `${errors.length} errors`}\n`);
  for (const error of errors) process.stdout.write(`  ${error}\n`);
  return errors.length;
}

async function checkStage(stage: string): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), `concertina-${stage}-`));
  try {
    const findings = validateTemplate(await packageStage(stage, folder));
    return report(
      `AWS, stage ${stage}`,
      findings.map(({ severity, rule, message }) => `${severity} ${rule} ${message}`),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  let errors = 0;
  for (const stage of STAGES) errors += await checkStage(stage);
  const bundle = await bundleWorker();
  const tiers = await readTiers(join(import.meta.dirname, 'tiers.yaml'));
  const size = `${(bundle.gzipKib / 1024).toFixed(1)} MiB compressed`;
  errors += report(`Cloudflare Worker, ${size}`, workerErrors(bundle, tiers));
  errors += report('Knative and Kubernetes', await checkManifests());
  process.exitCode = errors === 0 ? 0 : 1;
}

if (import.meta.main) await main();
