/** Alarms and a dashboard per tier, from the functions' own metrics and the gateway's structured logs. */
const { readTiers } = require('./functions.cjs');

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
  const Resources = {
    Alarms: {
      Type: 'AWS::SNS::Topic',
      Properties: {
        DisplayName: `Concertina ${stage}`,
        KmsMasterKeyId: 'alias/aws/sns',
        ...(email === '' ? {} : { Subscription: [{ Protocol: 'email', Endpoint: email }] }),
      },
    },
  };
  const widgets = [];
  tiers.forEach(({ name }, row) => {
    const id = logicalName(name);
    const functionName = `concertina-${stage}-${name}`;
    for (const metric of LOG_METRICS) {
      Resources[`${id}${metric.name}Filter`] = {
        Type: 'AWS::Logs::MetricFilter',
        DependsOn: `GatewayDash${name}LogGroup`,
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
    const alarm = (suffix, description, metric, threshold) => {
      Resources[`${id}${suffix}Alarm`] = {
        Type: 'AWS::CloudWatch::Alarm',
        Properties: {
          AlarmDescription: description,
          Statistic: 'Sum',
          Period: 300,
          EvaluationPeriods: 2,
          Threshold: threshold,
          ComparisonOperator: 'GreaterThanThreshold',
          TreatMissingData: 'notBreaching',
          AlarmActions: [{ Ref: 'Alarms' }],
          ...metric,
        },
      };
    };
    const own = (metricName) => ({ Namespace: NAMESPACE, MetricName: `${stage}-${name}-${metricName}` });
    const lambda = (metricName) => ({
      Namespace: 'AWS/Lambda',
      MetricName: metricName,
      Dimensions: [{ Name: 'FunctionName', Value: functionName }],
    });
    alarm(
      'Budget',
      `${name}: budgets are missed; raise memory or provisioned concurrency`,
      own('BudgetMissed'),
      20,
    );
    alarm('Shed', `${name}: requests are refused; raise concurrency`, own('Shed'), 20);
    alarm(
      'Throttles',
      `${name}: Lambda throttles; raise reserved or provisioned concurrency`,
      lambda('Throttles'),
      10,
    );
    alarm('Errors', `${name}: the function fails`, lambda('Errors'), 5);
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
