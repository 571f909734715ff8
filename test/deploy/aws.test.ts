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
  /** Deployed within what a new account allows. */
  const fresh = stage === 'dev';
  let path: string;
  let resources: Record<string, Resource>;
  let outputs: Record<string, unknown>;
  let tiers: Record<string, { scaling: Record<string, unknown> }>;

  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'concertina-template-'));
    folders.push(folder);
    path = await packageStage(stage, folder);
    ({ Resources: resources, Outputs: outputs } = JSON.parse(await readFile(path, 'utf8')));
    tiers = parse(await readFile(new URL('../../deploy/tiers.yaml', import.meta.url), 'utf8')).tiers;
  });

  const ofType = (type: string) => Object.values(resources).filter((resource) => resource.Type === type);
  const properties = (type: string, key: string, value: unknown) =>
    ofType(type).find((resource) => resource.Properties[key] === value)?.Properties;

  const statementsOf = (role: string) =>
    (
      (resources[role]?.Properties.Policies ?? []) as { PolicyDocument: { Statement: Statement[] } }[]
    ).flatMap(({ PolicyDocument }) => PolicyDocument.Statement);

  it('passes the offline validator without errors', () => {
    expect(validateTemplate(path)).toEqual([]);
  }, 300_000);

  it('gives every tier a function with its own memory and concurrency', () => {
    for (const [name, { scaling }] of Object.entries(tiers)) {
      const found = properties('AWS::Lambda::Function', 'FunctionName', `concertina-${stage}-${name}`);
      const memoryMb = fresh ? Math.min(3008, Number(scaling.memoryMb)) : scaling.memoryMb;
      expect(found, name).toMatchObject({ MemorySize: memoryMb, PackageType: 'Image' });
      expect(found?.ReservedConcurrentExecutions, name).toBe(fresh ? undefined : scaling.reservedConcurrency);
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
      if (!wanted || fresh) {
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
    expect(job).toMatchObject({
      RetryStrategy: {
        Attempts: 4,
        EvaluateOnExit: [
          { OnStatusReason: 'Host EC2*', Action: 'RETRY' },
          { OnReason: '*', Action: 'EXIT' },
        ],
      },
      Timeout: { AttemptDurationSeconds: 14400 },
    });
    expect(JSON.stringify(job)).toContain('"GPU"');
  });

  it('starts that job when weights land under incoming/, with a role that can do nothing else', () => {
    const rule = ofType('AWS::Events::Rule').find(({ Properties }) =>
      JSON.stringify(Properties).includes('incoming/*/model.safetensors'),
    )?.Properties;
    expect(rule).toMatchObject({
      EventPattern: { source: ['aws.s3'], 'detail-type': ['Object Created'] },
      Targets: [{ Arn: { Ref: 'JobQueue' }, RoleArn: { 'Fn::GetAtt': ['SubmitRole', 'Arn'] } }],
    });
    // A retry strategy here would take the place of the definition's, and a hopeless job would have four machines.
    const targets = (rule?.Targets ?? []) as { BatchParameters: object }[];
    expect(targets[0]?.BatchParameters).not.toHaveProperty('RetryStrategy');
    expect(statementsOf('SubmitRole').map(({ Action }) => Action)).toEqual(['batch:SubmitJob']);
  });

  it('routes every tier through the HTTP API, and streams large answers from a signed address', () => {
    for (const name of Object.keys(tiers)) {
      expect(properties('AWS::ApiGatewayV2::Route', 'RouteKey', `ANY /${name}/{proxy+}`), name).toBeDefined();
      const streaming = properties(
        'AWS::Lambda::Function',
        'FunctionName',
        `concertina-${stage}-${name}-stream`,
      );
      expect(streaming, name).toMatchObject({ Timeout: 300, PackageType: 'Image' });
    }
    const urls = ofType('AWS::Lambda::Url');
    expect(urls).toHaveLength(Object.keys(tiers).length);
    for (const { Properties } of urls)
      expect(Properties).toMatchObject({ AuthType: 'AWS_IAM', InvokeMode: 'RESPONSE_STREAM' });
  });

  it('raises and lowers provisioned concurrency at the hours of the tier', () => {
    for (const [name, { scaling }] of Object.entries(tiers)) {
      const id = `function:concertina-${stage}-${name}:provisioned`;
      const target = properties('AWS::ApplicationAutoScaling::ScalableTarget', 'ResourceId', id);
      const hours = (fresh ? [] : (scaling.schedule ?? [])) as { name: string; cron: string; min: number }[];
      expect(target?.ScheduledActions ?? [], name).toEqual(
        hours.map(({ name: action, cron, min }) => ({
          ScheduledActionName: action,
          Schedule: `cron(${cron})`,
          ScalableTargetAction: expect.objectContaining({ MinCapacity: min }),
        })),
      );
    }
  });

  it('lets the gateway read models and write profiles beside them, and nothing more', () => {
    const role = ofType('AWS::IAM::Role').find(({ Properties }) =>
      JSON.stringify(Properties.RoleName ?? '').includes(`concertina-${stage}-gateway`),
    );
    const policies = (role?.Properties.Policies ?? []) as { PolicyDocument: { Statement: Statement[] } }[];
    const s3 = policies
      .flatMap(({ PolicyDocument }) => PolicyDocument.Statement)
      .filter(({ Action }) => [Action].flat().some((action) => action.startsWith('s3:')));
    expect(s3.map(({ Action, Resource }) => [String(Action), Resource])).toEqual([
      ['s3:GetObject', { 'Fn::Sub': '${Models.Arn}/models/*' }],
      ['s3:PutObject', { 'Fn::Sub': '${Models.Arn}/models/*/profiles/*' }],
      ['s3:ListBucket', { 'Fn::GetAtt': ['Models', 'Arn'] }],
    ]);
  });

  it('refuses what is not encrypted on its way, and cleans up behind uploads, versions and results', () => {
    expect(JSON.stringify(resources.ModelsPolicy?.Properties)).toContain('"aws:SecureTransport":"false"');
    const lifecycle = resources.Models?.Properties.LifecycleConfiguration ?? {};
    const { Rules } = lifecycle as { Rules: { Id: string }[] };
    expect(Rules.map(({ Id }) => Id)).toEqual([
      'abort-unfinished-uploads',
      'old-versions',
      'incoming-weights',
      'steps-of-jobs-that-never-ended',
      'bulk-results',
    ]);
  });

  it('embeds a prefix by a distributed map, with the budget as an input', () => {
    const definition = JSON.stringify(ofType('AWS::StepFunctions::StateMachine')[0]?.Properties);
    for (const part of ['DISTRIBUTED', 'listObjectsV2', 'ResultWriter', '$.budget', '$.prefix'])
      expect(definition).toContain(part);
  });

  it('shows every tier on the dashboard, and sends alarms somewhere', () => {
    const dashboard = JSON.stringify(ofType('AWS::CloudWatch::Dashboard')[0]?.Properties);
    for (const name of Object.keys(tiers)) expect(dashboard).toContain(`concertina-${stage}-${name}`);
    for (const { Properties } of ofType('AWS::CloudWatch::Alarm'))
      expect(Properties.AlarmActions).toEqual([{ Ref: 'Alarms' }]);
  });

  it('names what commands ask for in its outputs', () => {
    const names = [
      'HttpApiUrl',
      'ModelsBucket',
      'StoreUrl',
      'PruneQueue',
      'PruneDefinition',
      'BulkStateMachine',
    ];
    expect(Object.keys(outputs)).toEqual(expect.arrayContaining(names));
  });

  it('keeps finished steps of a job in the bucket, where the next machine finds them', () => {
    const container = ofType('AWS::Batch::JobDefinition')[0]?.Properties.ContainerProperties;
    expect((container as { Environment: unknown[] }).Environment).toContainEqual({
      Name: 'CONCERTINA_WORK',
      Value: { 'Fn::Sub': 's3://${Models}/work' },
    });
    const actions = statementsOf('JobRole').find(({ Resource }) =>
      JSON.stringify(Resource).includes('/work/*'),
    );
    expect(actions?.Action).toEqual(
      expect.arrayContaining(['s3:GetObject', 's3:PutObject', 's3:DeleteObject']),
    );
  });

  it('sends alarms to a topic that CloudWatch and EventBridge can publish to, and that somebody is subscribed to', () => {
    expect(resources.Alarms?.Properties).toMatchObject({
      Subscription: [{ Protocol: 'email', Endpoint: expect.stringContaining('@') }],
    });
    expect(resources.Alarms?.Properties).not.toHaveProperty('KmsMasterKeyId');
    expect(resources.AlarmsPolicy?.Properties).toMatchObject({
      PolicyDocument: {
        Statement: [
          {
            Principal: { Service: ['cloudwatch.amazonaws.com', 'events.amazonaws.com'] },
            Action: 'sns:Publish',
          },
        ],
      },
    });
  });

  it('watches every function, the API, bulk runs, jobs and what it costs', () => {
    const watched = JSON.stringify(ofType('AWS::CloudWatch::Alarm').map(({ Properties }) => Properties));
    for (const { Properties } of ofType('AWS::Lambda::Function'))
      expect(watched).toContain(`"${Properties.FunctionName}"`);
    for (const metric of ['5xx', 'ExecutionsFailed', 'ExecutionsTimedOut'])
      expect(watched).toContain(`"${metric}"`);
    expect(watched.includes('ProvisionedConcurrencySpilloverInvocations')).toBe(!fresh);
    expect(JSON.stringify(resources.FailedJobs?.Properties)).toContain('"FAILED"');
    expect(ofType('AWS::Budgets::Budget')).toHaveLength(1);
  });

  it('throttles every route, and asks for a key in front of the tiers that need one', () => {
    const { RouteSettings = {}, DefaultRouteSettings } = (ofType('AWS::ApiGatewayV2::Stage')[0]?.Properties ??
      {}) as { RouteSettings?: Record<string, object>; DefaultRouteSettings?: object };
    expect(DefaultRouteSettings).toMatchObject({ ThrottlingRateLimit: 10, DetailedMetricsEnabled: true });
    for (const [name, tier] of Object.entries(tiers)) {
      expect(RouteSettings[`ANY /${name}/{proxy+}`]).toMatchObject({
        ThrottlingRateLimit: expect.any(Number),
      });
      const route = properties('AWS::ApiGatewayV2::Route', 'RouteKey', `ANY /${name}/{proxy+}`);
      expect(route?.AuthorizationType ?? 'NONE', name).toBe('default' in tier ? 'NONE' : 'CUSTOM');
    }
    const small = properties('AWS::Lambda::Function', 'FunctionName', `concertina-${stage}-authorize`);
    expect(small?.MemorySize).toBe(256);
  });

  it('gives functions names of files without a dot, which the runtime would cut them at', () => {
    for (const { Properties } of ofType('AWS::Lambda::Function')) {
      const { Command } = Properties.ImageConfig as { Command: [string] };
      expect(Command[0].split('/').at(-1)?.split('.')).toHaveLength(2);
    }
  });

  it('tries batches again whatever failed, and counts pictures that failed at the end', () => {
    const machine = JSON.stringify(ofType('AWS::StepFunctions::StateMachine')[0]?.Properties.Definition);
    expect(machine).toContain('"ErrorEquals":["States.ALL"]');
    expect(machine).toContain('"ToleratedFailurePercentage":100');
    expect(machine).toContain('"tolerated.$":"$.tolerated"');
  });

  it('raises an alarm on missed budgets, sheds, throttles and errors of every tier', () => {
    const alarms = JSON.stringify(
      ofType('AWS::CloudWatch::Alarm').map(({ Properties }) => Properties.AlarmDescription),
    );
    for (const name of Object.keys(tiers))
      for (const what of [
        'latency targets are missed',
        'requests are refused',
        'Lambda throttles',
        'the function fails',
      ])
        expect(alarms).toContain(`${name}: ${what}`);
  });
});
