/**
 * `npm run deploy:check`: packages serverless.yml for every stage with osls, and validates the templates offline.
 * Needs no account and no network. Exits with 1 when a stage does not package or a template has an error.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CelEngine, TemplateFile } from '@aws/cloudformation-validate';

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
  await run('npx', ['osls', 'package', '--stage', stage, '--package', folder], {
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

async function main(): Promise<void> {
  let errors = 0;
  for (const stage of STAGES) {
    const folder = await mkdtemp(join(tmpdir(), `concertina-${stage}-`));
    try {
      const findings = validateTemplate(await packageStage(stage, folder));
      errors += findings.length;
      process.stdout.write(
        `stage ${stage}: ${findings.length === 0 ? 'valid' : `${findings.length} errors`}\n`,
      );
      for (const found of findings)
        process.stdout.write(`  ${found.severity} ${found.rule} ${found.message}\n`);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  process.exitCode = errors === 0 ? 0 : 1;
}

if (import.meta.main) await main();
