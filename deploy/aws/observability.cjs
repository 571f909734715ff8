/** Alarms on every component and a dashboard per tier, from the services' own metrics and the gateway's structured logs. */
const { logicalName: functionId, readTiers } = require('./functions.cjs');

const NAMESPACE = 'Concertina';

/** Fields of the gateway's JSON log line of a request (`src/gateway`), turned into metrics. */
const LOG_METRICS = [
  { name: 'BudgetMissed', pattern: '{ $.event = "request" && $.budgetMet IS FALSE }' },
  { name: 'Degraded', pattern: '{ $.event = "request" && $.limitedBy = "pressure" }' },
  {
    name: 'Shed',
    pattern: '{ $.event = "request" && ($.code = "overloaded" || $.code = "tier-saturated") }',
  },
];

const logicalName = (tier) =>
  tier.replace(/[^A-Za-z0-9]/g, '').replace(/^./, (letter) => letter.toUpperCase());

module.exports.resources = async ({ resolveVariable }) => {
  const stage = await resolveVariable('sls:stage');
  const email = await resolveVariable('param:alarmEmail');
  const tiers = await readTiers(resolveVariable);
  if (email === '')
    throw new Error('Name who is told of alarms: params.default.alarmEmail of serverless.yml.');
  const dollars = await resolveVariable('param:budgetDollars');
  const Resources = {
    // Not encrypted by alias/aws/sns: CloudWatch and EventBridge cannot publish to a topic that is. Alarms hold no secrets.
    Alarms: {
      Type: 'AWS::SNS::Topic',
      Properties: {
        DisplayName: `Concertina ${stage}`,
        Subscription: [{ Protocol: 'email', Endpoint: email }],
      },
    },
    AlarmsPolicy: {
      Type: 'AWS::SNS::TopicPolicy',
      Properties: {
        Topics: [{ Ref: 'Alarms' }],
        PolicyDocument: {
          Version: '2012-10-17',
          Statement: [
            {
              Effect: 'Allow',
              Principal: { Service: ['cloudwatch.amazonaws.com', 'events.amazonaws.com'] },
              Action: 'sns:Publish',
              Resource: { Ref: 'Alarms' },
              Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } },
            },
          ],
        },
      },
    },
    Cost: {
      Type: 'AWS::Budgets::Budget',
      Properties: {
        Budget: {
          BudgetName: `concertina-${stage}`,
          BudgetType: 'COST',
          TimeUnit: 'MONTHLY',
          BudgetLimit: { Amount: dollars, Unit: 'USD' },
        },
        NotificationsWithSubscribers: ['ACTUAL', 'FORECASTED'].map((NotificationType) => ({
          Notification: {
            NotificationType,
            ComparisonOperator: 'GREATER_THAN',
            Threshold: NotificationType === 'ACTUAL' ? 80 : 100,
          },
          Subscribers: [{ SubscriptionType: 'EMAIL', Address: email }],
        })),
      },
    },
  };
  const alarm = (id, description, metric, threshold, { evaluations = 2, statistic = 'Sum' } = {}) => {
    Resources[`${id}Alarm`] = {
      Type: 'AWS::CloudWatch::Alarm',
      Properties: {
        AlarmDescription: description,
        Statistic: statistic,
        Period: 300,
        EvaluationPeriods: evaluations,
        Threshold: threshold,
        ComparisonOperator: 'GreaterThanThreshold',
        TreatMissingData: 'notBreaching',
        AlarmActions: [{ Ref: 'Alarms' }],
        ...metric,
      },
    };
  };
  const lambdaMetric = (functionName) => (MetricName) => ({
    Namespace: 'AWS/Lambda',
    MetricName,
    Dimensions: [{ Name: 'FunctionName', Value: functionName }],
  });
  const once = { evaluations: 1 };
  for (const [id, name] of Object.entries({
    Authorize: 'authorize',
    Bulk: 'bulk',
    BulkReport: 'bulk-report',
  })) {
    const metric = lambdaMetric(`concertina-${stage}-${name}`);
    alarm(
      `${id}Errors`,
      `The function ${name} fails; its log says why`,
      metric('Errors'),
      id === 'Bulk' ? 20 : 0,
      once,
    );
  }
  const machine = [{ Name: 'StateMachineArn', Value: { Ref: 'BulkStateMachine' } }];
  for (const MetricName of ['ExecutionsFailed', 'ExecutionsTimedOut'])
    alarm(
      `Bulk${MetricName}`,
      'A bulk run did not end well; results/<run>/report.json lists what is missing',
      { Namespace: 'AWS/States', MetricName, Dimensions: machine },
      0,
      once,
    );
  alarm(
    'Api5xx',
    'The HTTP API answers 5xx; look at the functions behind it',
    {
      Namespace: 'AWS/ApiGateway',
      MetricName: '5xx',
      Dimensions: [{ Name: 'ApiId', Value: { Ref: 'HttpApi' } }],
    },
    5,
  );
  const widgets = [];
  tiers.forEach(({ name, scaling }, row) => {
    const id = logicalName(name);
    const functionName = `concertina-${stage}-${name}`;
    for (const metric of LOG_METRICS) {
      Resources[`${id}${metric.name}Filter`] = {
        Type: 'AWS::Logs::MetricFilter',
        DependsOn: `${functionId(`gateway-${name}`)}LogGroup`,
        Properties: {
          LogGroupName: `/aws/lambda/${functionName}`,
          FilterPattern: metric.pattern,
          MetricTransformations: [
            {
              MetricNamespace: NAMESPACE,
              MetricName: `${stage}-${name}-${metric.name}`,
              MetricValue: '1',
              DefaultValue: 0,
            },
          ],
        },
      };
    }
    const own = (MetricName) => ({ Namespace: NAMESPACE, MetricName: `${stage}-${name}-${MetricName}` });
    const lambda = lambdaMetric(functionName);
    alarm(
      `${id}Budget`,
      `${name}: latency targets are missed; give it more memory or concurrency`,
      own('BudgetMissed'),
      20,
    );
    alarm(
      `${id}Shed`,
      `${name}: requests are refused because of load; give it more concurrency`,
      own('Shed'),
      20,
    );
    const streams = lambdaMetric(`${functionName}-stream`);
    for (const [kind, metric] of Object.entries({ '': lambda, Stream: streams })) {
      const which = kind === '' ? name : `${name}, streaming`;
      const cap = "raise its reserved concurrency, or the account's quota";
      alarm(`${id}${kind}Throttles`, `${which}: Lambda throttles; ${cap}`, metric('Throttles'), 10);
      alarm(`${id}${kind}Errors`, `${which}: the function fails; its log says why`, metric('Errors'), 5);
    }
    if (scaling.provisionedConcurrency)
      alarm(
        `${id}SpillOver`,
        `${name}: requests go beyond provisioned concurrency and start cold; raise its maximum`,
        lambda('ProvisionedConcurrencySpilloverInvocations'),
        10,
      );
    const region = { Ref: 'AWS::Region' };
    const plot = (title, metrics, column, stat) => ({
      type: 'metric',
      x: column * 8,
      y: row * 6,
      width: 8,
      height: 6,
      properties: { title: `${name}: ${title}`, region, stat, period: 60, metrics },
    });
    widgets.push(
      plot('duration', [['AWS/Lambda', 'Duration', 'FunctionName', functionName]], 0, 'p99'),
      plot(
        'concurrency',
        [['AWS/Lambda', 'ConcurrentExecutions', 'FunctionName', functionName]],
        1,
        'Maximum',
      ),
      plot(
        'bends and breaks',
        LOG_METRICS.map((metric) => [NAMESPACE, `${stage}-${name}-${metric.name}`]),
        2,
        'Sum',
      ),
    );
  });
  Resources.Dashboard = {
    Type: 'AWS::CloudWatch::Dashboard',
    Properties: {
      DashboardName: `concertina-${stage}`,
      DashboardBody: {
        'Fn::Sub': JSON.stringify({ widgets }).replaceAll('{"Ref":"AWS::Region"}', '"${AWS::Region}"'),
      },
    },
  };
  return { Resources };
};
