import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { packageStage, STAGES, validateTemplate } from '../../deploy/check.ts';

interface Resource {
  readonly Type: string;
  // Properties of CloudFormation resources are free-form JSON; the tests below say what they expect of each.
  readonly Properties: Record<string, unknown>;
}
interface Statement {
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
  readonly Principal?: unknown;
}

const folders: string[] = [];
afterAll(async () => {
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
});

describe.each(STAGES)('serverless.yml at stage %s', (stage) => {
  let path: string;
  let resources: Record<string, Resource>;
  let tiers: Record<string, { scaling: Record<string, unknown> }>;

  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'concertina-template-'));
    folders.push(folder);
    path = await packageStage(stage, folder);
    resources = JSON.parse(await readFile(path, 'utf8')).Resources;
    tiers = parse(await readFile(new URL('../../deploy/tiers.yaml', import.meta.url), 'utf8')).tiers;
  });

  const ofType = (type: string) => Object.values(resources).filter((resource) => resource.Type === type);
  const properties = (type: string, key: string, value: unknown) =>
    ofType(type).find((resource) => resource.Properties[key] === value)?.Properties;

  it('passes the offline validator without errors', () => {
    expect(validateTemplate(path)).toEqual([]);
  });

  it('gives every tier a function with its own memory and concurrency', () => {
    for (const [name, { scaling }] of Object.entries(tiers)) {
      const found = properties('AWS::Lambda::Function', 'FunctionName', `concertina-${stage}-${name}`);
      expect(found, name).toMatchObject({ MemorySize: scaling.memoryMb, PackageType: 'Image' });
      expect(found?.ReservedConcurrentExecutions, name).toBe(scaling.reservedConcurrency);
    }
  });

  it('tracks the utilisation of provisioned concurrency at the target of the tier, with its schedule', () => {
    for (const [name, { scaling }] of Object.entries(tiers)) {
      const wanted = scaling.provisionedConcurrency as
        | { min: number; max: number; target: number }
        | undefined;
      const target = properties(
        'AWS::ApplicationAutoScaling::ScalableTarget',
        'ResourceId',
        `function:concertina-${stage}-${name}:provisioned`,
      );
      if (!wanted) {
        expect(target, name).toBeUndefined();
        continue;
      }
      expect(target).toMatchObject({ MinCapacity: wanted.min, MaxCapacity: wanted.max });
      expect(target?.ScheduledActions).toHaveLength((scaling.schedule as unknown[] | undefined)?.length ?? 0);
      const policy = properties(
        'AWS::ApplicationAutoScaling::ScalingPolicy',
        'PolicyName',
        `concertina-${stage}-${name}-utilization`,
      );
      expect(policy).toMatchObject({
        TargetTrackingScalingPolicyConfiguration: { TargetValue: wanted.target },
      });
    }
  });

  it('encrypts, versions and closes the bucket of the models', () => {
    expect(resources.Models?.Properties).toMatchObject({
      VersioningConfiguration: { Status: 'Enabled' },
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
    });
    expect(JSON.stringify(resources.Models?.Properties.BucketEncryption)).toContain('AES256');
  });

  it('allows no action by a wildcard in any role', () => {
    const statements: Statement[] = ofType('AWS::IAM::Role').flatMap((role) => {
      const policies = (role.Properties.Policies ?? []) as { PolicyDocument: { Statement: Statement[] } }[];
      return policies.flatMap((policy) => policy.PolicyDocument.Statement);
    });
    expect(statements.length).toBeGreaterThan(8);
    for (const statement of statements.filter(({ Effect }) => Effect === 'Allow')) {
      for (const action of [statement.Action].flat()) expect(action).not.toContain('*');
    }
  });

  it('starts the pruning job on Spot GPUs that scale to zero, with a timeout and retries', () => {
    const compute = ofType('AWS::Batch::ComputeEnvironment')[0]?.Properties.ComputeResources;
    expect(compute).toMatchObject({
      Type: 'SPOT',
      MinvCpus: 0,
      Ec2Configuration: [{ ImageType: 'ECS_AL2023_NVIDIA' }],
    });
    const job = ofType('AWS::Batch::JobDefinition')[0]?.Properties;
    expect(job).toMatchObject({ RetryStrategy: { Attempts: 4 }, Timeout: { AttemptDurationSeconds: 14400 } });
    expect(JSON.stringify(job)).toContain('"GPU"');
  });

  it('raises an alarm on missed budgets, sheds, throttles and errors of every tier', () => {
    expect(ofType('AWS::CloudWatch::Alarm')).toHaveLength(4 * Object.keys(tiers).length);
  });
});
