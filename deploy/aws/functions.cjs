/**
 * Lambda functions and their scaling, generated from the tiers configuration that the gateway itself reads.
 * osls calls each export with its variable resolver.
 */
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const { parse } = require('yaml');

const TIMEOUT_SECONDS = 29; // an HTTP API gives up after 30

/** A new account has 10 concurrent executions, all of which have to stay unreserved, and 3008 MB for a function. */
const NEW_ACCOUNT_MB = 3008;
const inNewAccount = ({ reservedConcurrency, provisionedConcurrency, schedule, ...scaling }) => ({
  ...scaling,
  memoryMb: Math.min(scaling.memoryMb, NEW_ACCOUNT_MB),
});

async function readTiers(resolveVariable) {
  const file = await resolveVariable('param:tiers');
  const config = parse(readFileSync(join(__dirname, '../..', file), 'utf8'));
  if (!config?.tiers || Object.keys(config.tiers).length === 0) {
    throw new Error(`${file} names no tiers; see deploy/tiers.yaml for an example.`);
  }
  const limits = await resolveVariable('param:accountLimits');
  if (!['new', 'raised'].includes(limits)) throw new Error('params: accountLimits is "new" or "raised".');
  return Object.entries(config.tiers).map(([name, tier]) => {
    if (!tier.scaling) throw new Error(`tiers.${name}.scaling is missing in ${file}: it sizes the function.`);
    return { name, tier, scaling: limits === 'new' ? inNewAccount(tier.scaling) : tier.scaling };
  });
}

/** Whether the tier is closed to callers without a key. */
const needsKey = (tier) => !tier.default;

/** What an HTTP API lets through of a tier, requests per second and at once; unless told, twice the rate of one key. */
const throttleOf = ({ rateLimit, scaling }) =>
  scaling.throttle ?? {
    rate: rateLimit ? Math.max(1, Math.ceil((2 * rateLimit.requests) / rateLimit.windowSeconds)) : 100,
    burst: rateLimit ? Math.max(5, Math.ceil((4 * rateLimit.requests) / rateLimit.windowSeconds)) : 200,
  };

/** `gateway-premium` -> `GatewayDashpremium`, the way osls names the resources of a function. */
const logicalName = (name) => {
  const normalised = name.replaceAll('-', 'Dash').replaceAll('_', 'Underscore');
  return normalised.charAt(0).toUpperCase() + normalised.slice(1);
};

module.exports.functionName = (tier) => `gateway-${tier}`;
module.exports.readTiers = readTiers;
module.exports.logicalName = logicalName;

module.exports.functions = async ({ resolveVariable }) => {
  const image = await resolveVariable('param:image');
  const stage = await resolveVariable('sls:stage');
  const wanted = await resolveVariable('param:models');
  const models = wanted === '' ? {} : { CONCERTINA_MODELS: wanted };
  const behindWorker = (await resolveVariable('param:originSecret')) === true;
  const keys = { CONCERTINA_KEYS: { 'Fn::Sub': 'secretsmanager:${Keys}' } };
  const common = {
    ...keys,
    // Without a key nothing is answered but probes.
    CONCERTINA_EXPOSE: 'none',
    ...models,
    ...(behindWorker && {
      CONCERTINA_ORIGIN_SECRET: { 'Fn::Sub': '{{resolve:secretsmanager:${OriginSecret}}}' },
    }),
  };
  const functions = {
    // Small, so that a wrong key starts nothing large.
    authorize: {
      name: `concertina-${stage}-authorize`,
      description: 'Refuses unknown keys in front of the tiers that need one',
      image: { uri: image, command: ['dist/functions/lambda/authorize.handler'] },
      memorySize: 256,
      timeout: 5,
      role: 'AuthorizeRole',
      environment: { CONCERTINA_CONFIG: '/var/task/deploy/tiers.yaml', ...keys },
    },
  };
  for (const { name, tier, scaling } of await readTiers(resolveVariable)) {
    functions[`gateway-${name}`] = {
      name: `concertina-${stage}-${name}`,
      description: `Embeddings for the ${name} tier`,
      image: { uri: image, command: ['dist/functions/lambda/gateway.handler'] },
      memorySize: scaling.memoryMb,
      timeout: TIMEOUT_SECONDS,
      ephemeralStorageSize: 1024,
      environment: {
        CONCERTINA_STORE: { 'Fn::Sub': 's3://${Models}/models' },
        CONCERTINA_CONFIG: '/var/task/deploy/tiers.yaml',
        CONCERTINA_TIER: name,
        CONCERTINA_BASE_PATH: `/${name}`,
        ...common,
        NODE_OPTIONS: '--enable-source-maps',
      },
      events: [
        {
          httpApi: {
            method: '*',
            path: `/${name}/{proxy+}`,
            ...(needsKey(tier) && { authorizer: { name: 'keys' } }),
          },
        },
      ],
      ...(scaling.reservedConcurrency === undefined
        ? {}
        : { reservedConcurrency: scaling.reservedConcurrency }),
      ...(scaling.provisionedConcurrency === undefined
        ? {}
        : { provisionedConcurrency: scaling.provisionedConcurrency.min }),
      tags: { tier: name, weight: String(tier.weight ?? 1) },
    };
    functions[`gateway-${name}-stream`] = {
      name: `concertina-${stage}-${name}-stream`,
      description: `Large batches for the ${name} tier, streamed`,
      image: { uri: image, command: ['dist/functions/lambda/gateway.stream'] },
      memorySize: scaling.memoryMb,
      timeout: 300,
      environment: {
        CONCERTINA_STORE: { 'Fn::Sub': 's3://${Models}/models' },
        CONCERTINA_CONFIG: '/var/task/deploy/tiers.yaml',
        CONCERTINA_TIER: name,
        ...common,
      },
      // A function URL streams up to 200 MB; it is signed (IAM), because it stands beside the API, not behind it.
      url: { authorizer: 'aws_iam', invokeMode: 'RESPONSE_STREAM' },
      ...(scaling.reservedConcurrency === undefined
        ? {}
        : { reservedConcurrency: Math.max(1, Math.floor(scaling.reservedConcurrency / 2)) }),
      tags: { tier: name },
    };
  }
  functions.bulk = {
    name: `concertina-${stage}-bulk`,
    description: 'Embeds one batch of objects for the bulk state machine',
    image: { uri: image, command: ['dist/functions/lambda/bulk.handler'] },
    memorySize: (await resolveVariable('param:accountLimits')) === 'new' ? NEW_ACCOUNT_MB : 7076,
    timeout: 900,
    role: 'BulkFunctionRole',
    environment: { CONCERTINA_STORE: { 'Fn::Sub': 's3://${Models}/models' } },
  };
  functions['bulk-report'] = {
    name: `concertina-${stage}-bulk-report`,
    description: 'Counts what became of the pictures of a bulk run',
    image: { uri: image, command: ['dist/functions/lambda/bulk.report'] },
    memorySize: 512,
    timeout: 300,
    role: 'BulkFunctionRole',
    environment: { CONCERTINA_STORE: { 'Fn::Sub': 's3://${Models}/models' } },
  };
  return functions;
};

/** Throttles of the HTTP API: an API without them passes on what it is sent, up to the account's limit. */
module.exports.throttles = async ({ resolveVariable }) => {
  const tiers = await readTiers(resolveVariable);
  const settings = ({ rate, burst }) => ({ ThrottlingRateLimit: rate, ThrottlingBurstLimit: burst });
  const routeOf = (name) => `HttpApiRouteAny${logicalName(name)}ProxyVar`;
  return {
    Resources: {
      AuthorizeRole: {
        Type: 'AWS::IAM::Role',
        Properties: {
          AssumeRolePolicyDocument: {
            Version: '2012-10-17',
            Statement: [
              { Effect: 'Allow', Principal: { Service: 'lambda.amazonaws.com' }, Action: 'sts:AssumeRole' },
            ],
          },
          ManagedPolicyArns: [
            { 'Fn::Sub': 'arn:${AWS::Partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole' },
          ],
          Policies: [
            {
              PolicyName: 'keys',
              PolicyDocument: {
                Version: '2012-10-17',
                Statement: [
                  { Effect: 'Allow', Action: 'secretsmanager:GetSecretValue', Resource: { Ref: 'Keys' } },
                ],
              },
            },
          ],
        },
      },
    },
    extensions: {
      HttpApiStage: {
        DependsOn: tiers.map(({ name }) => routeOf(name)),
        Properties: {
          DefaultRouteSettings: { DetailedMetricsEnabled: true, ...settings({ rate: 10, burst: 20 }) },
          RouteSettings: Object.fromEntries(
            tiers.map(({ name, tier }) => [`ANY /${name}/{proxy+}`, settings(throttleOf(tier))]),
          ),
        },
      },
    },
  };
};

/** Target tracking and schedules on the provisioned concurrency of the tiers that have it. */
module.exports.scaling = async ({ resolveVariable }) => {
  const stage = await resolveVariable('sls:stage');
  const Resources = {};
  for (const { name, scaling } of await readTiers(resolveVariable)) {
    const provisioned = scaling.provisionedConcurrency;
    if (!provisioned) continue;
    const id = logicalName(`gateway-${name}`);
    Resources[`${id}ScalableTarget`] = {
      Type: 'AWS::ApplicationAutoScaling::ScalableTarget',
      DependsOn: `${id}ProvConcLambdaAlias`,
      Properties: {
        ServiceNamespace: 'lambda',
        ScalableDimension: 'lambda:function:ProvisionedConcurrency',
        ResourceId: `function:concertina-${stage}-${name}:provisioned`,
        MinCapacity: provisioned.min,
        MaxCapacity: provisioned.max,
        ScheduledActions: (scaling.schedule ?? []).map((action) => ({
          ScheduledActionName: action.name,
          Schedule: `cron(${action.cron})`,
          ScalableTargetAction: { MinCapacity: action.min, MaxCapacity: action.max ?? provisioned.max },
        })),
      },
    };
    Resources[`${id}ScalingPolicy`] = {
      Type: 'AWS::ApplicationAutoScaling::ScalingPolicy',
      Properties: {
        PolicyName: `concertina-${stage}-${name}-utilization`,
        PolicyType: 'TargetTrackingScaling',
        ScalingTargetId: { Ref: `${id}ScalableTarget` },
        TargetTrackingScalingPolicyConfiguration: {
          TargetValue: provisioned.target,
          PredefinedMetricSpecification: { PredefinedMetricType: 'LambdaProvisionedConcurrencyUtilization' },
          ScaleInCooldown: 300,
          ScaleOutCooldown: 0,
        },
      },
    };
  }
  return { Resources };
};
