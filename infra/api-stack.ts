import { CfnOutput, Duration, RemovalPolicy, Stack, type StackProps, Validations } from 'aws-cdk-lib';
import {
  CfnStage,
  HttpApi,
  HttpMethod,
  HttpRoute,
  HttpRouteKey,
  MappingValue,
  ParameterMapping,
} from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpLambdaIntegration, HttpUrlIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import { Alarm, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { type FunctionUrl, FunctionUrlAuthType, InvokeMode } from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import type { Endpoint } from '../shared/contract/endpoint.ts';
import { endpoints } from '../shared/contract/endpoints.ts';
import type { Pool } from '../shared/domain/pools.ts';
import { rateClassOf } from '../shared/limits/rates.ts';
import type { TargetConfig } from '../shared/providers/targets.ts';
import type { DataStack } from './data-stack.ts';
import { environmentOf, installationOf } from './environment.ts';
import { ErrandFunction } from './errand-function.ts';
import type { Options } from './options.ts';
import {
  mayGet,
  mayGetMany,
  mayKeepWebhookSecrets,
  mayNote,
  mayRead,
  mayReadHookSecrets,
  mayReadInput,
  mayReadKey,
  mayReadOutput,
  mayReadSecrets,
  mayRemoveInput,
  maySearch,
  maySign,
  mayStoreInput,
  mayStoreOutput,
  mayStoreSecrets,
  mayWake,
  mayWrite,
  type Permission,
} from './permissions.ts';
import type { QueueStack } from './queue-stack.ts';

export interface ApiStackProps extends StackProps {
  readonly stage: string;
  readonly data: DataStack;
  readonly queue: QueueStack;
  readonly targets: readonly TargetConfig[];
  readonly pools: readonly Pool[];
  readonly bundles: string;
  /** JSON as in access.json. */
  readonly issuers: string | undefined;
  readonly telemetry: Options['telemetry'];
  readonly apiRequestsPerSecond: number;
  readonly reserved: Options['reserved'];
}

/** Routes that change what is changed seldom, and costs most. As CloudFormation spells it. */
const throttlesOf = (perSecond: number): Readonly<Record<string, object>> =>
  Object.fromEntries(
    Object.values<Endpoint>(endpoints)
      .filter((endpoint) => endpoint.access !== 'runner' && rateClassOf(endpoint) === 'change')
      .map(({ method, path }) => [
        `${method} ${path}`,
        { ThrottlingRateLimit: perSecond / 10, ThrottlingBurstLimit: Math.ceil(perSecond / 5) },
      ]),
  );

/** HTTP APIs wait for no answer longer than 30 s. */
const API_SECONDS = 29;
/** A live answer that passes through the HTTP API is a long poll, within its patience. */
const LONG_POLL = 'wait=20';

/** What callers and runners reach: an HTTP API by the endpoint table, and a URL each for what comes live and for runners. */
export class ApiStack extends Stack {
  readonly runnerUrl: string;
  readonly functions: Readonly<Record<Endpoint['function'], ErrandFunction>>;

  constructor(scope: Construct, id: string, props: ApiStackProps) {
    super(scope, id, props);
    const { stage, data, queue, targets, pools, bundles, issuers, reserved, apiRequestsPerSecond, telemetry } = props;
    const environment = environmentOf(this, { stage, data, queue, targets, pools, issuers, telemetry });
    const make = (entry: Endpoint['function'], permissions: readonly Permission[], timeout: Duration) =>
      new ErrandFunction(this, entry, {
        ...{ entry, stage, environment, permissions, timeout, bundles },
        // Both have a URL, before which nothing else throttles: AWS lets in ten times as many requests a second.
        reservedConcurrency: entry === 'output' || entry === 'runner' ? reserved[entry] : undefined,
      });
    const short = Duration.seconds(API_SECONDS);
    const changing = [mayRead(data), mayWrite(data), ...mayRemoveInput(data), mayWake(queue)];
    const calling = [...changing, ...maySearch(data, 'list'), mayReadOutput(data), mayStoreInput(data)];
    this.functions = {
      access: make('access', [mayRead(data), mayWrite(data), mayReadKey(data), maySign(data)], short),
      commands: make('commands', [...calling, mayReadKey(data)], short),
      // No key: whoever calls it signs what it sends. Of secrets it reads those that are for that.
      hooks: make('hooks', [mayGet(data), mayWrite(data), mayWake(queue), mayReadHookSecrets(this, stage)], short),
      mcp: make('mcp', [...calling, mayReadKey(data)], Duration.minutes(15)),
      output: make(
        'output',
        [mayRead(data), mayGetMany(data), mayNote(data), mayReadOutput(data), mayReadKey(data)],
        Duration.minutes(15),
      ),
      providers: make('providers', [mayGet(data), mayNote(data), mayReadKey(data)], short),
      schedules: make(
        'schedules',
        [mayGet(data), mayWrite(data), mayWake(queue), ...maySearch(data, 'list'), mayReadKey(data)],
        short,
      ),
      workflows: make(
        'workflows',
        [mayGet(data), mayWrite(data), mayWake(queue), ...maySearch(data, 'list'), mayReadKey(data)],
        short,
      ),
      secrets: make('secrets', [mayRead(data), mayWrite(data), mayReadKey(data), mayStoreSecrets(this, stage)], short),
      webhooks: make(
        'webhooks',
        [mayRead(data), mayWrite(data), mayGetMany(data), mayReadKey(data), ...mayKeepWebhookSecrets(this, stage)],
        short,
      ),
      system: make('system', [mayGet(data)], short),
      triggers: make(
        'triggers',
        [mayRead(data), mayWrite(data), mayReadKey(data), mayStoreSecrets(this, stage)],
        short,
      ),
      // No key: whoever calls it shows the token of one attempt.
      runner: make(
        'runner',
        [...changing, mayReadInput(data), mayStoreOutput(data), mayReadSecrets(this, stage)],
        short,
      ),
    };
    const stream = this.makeUrl('output', InvokeMode.RESPONSE_STREAM);
    const agents = this.makeUrl('mcp', InvokeMode.RESPONSE_STREAM);
    this.runnerUrl = this.makeUrl('runner', InvokeMode.BUFFERED).url;
    const api = this.makeApi({ stream, agents }, apiRequestsPerSecond);
    new CfnOutput(this, 'Url', { value: api.apiEndpoint, description: 'ERRAND_URL' });
    new CfnOutput(this, 'StreamUrl', {
      value: stream.url,
      description: 'ERRAND_STREAM_URL: live output as it is written',
    });
    new CfnOutput(this, 'McpUrl', {
      value: `${agents.url}mcp`,
      description: 'For AI agents, with progress as it comes; /mcp of the API without',
    });
    new CfnOutput(this, 'RunnerUrl', { value: this.runnerUrl, description: 'Where runners report' });
    new CfnOutput(this, 'KeySecret', { value: data.key.secretArn, description: 'Holds ERRAND_API_KEY' });
    new CfnOutput(this, 'Installation', { value: installationOf(stage) });
  }

  /**
   * Open at AWS's door (auth NONE): those who call hold no AWS credentials and shall need none. The handler itself asks
   * for the key, or for the token of an attempt, before it looks at anything else. Requests signed for AWS would make
   * nothing safer: a runner stands beside a command, on ground that is taken to be hostile.
   */
  private makeUrl(name: 'mcp' | 'output' | 'runner', invokeMode: InvokeMode): FunctionUrl {
    return this.functions[name].function.addFunctionUrl({ authType: FunctionUrlAuthType.NONE, invokeMode });
  }

  private makeApi({ stream, agents }: Record<'stream' | 'agents', FunctionUrl>, perSecond: number): HttpApi {
    const api = new HttpApi(this, 'Api', { description: 'Errand', createDefaultStage: false });
    const logs = new LogGroup(this, 'AccessLog', {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const stage = new CfnStage(this, 'Stage', {
      apiId: api.apiId,
      stageName: '$default',
      autoDeploy: true,
      // No query and no header: they may say what is nobody's business.
      accessLogSettings: {
        destinationArn: logs.logGroupArn,
        format: JSON.stringify({
          requestId: '$context.requestId',
          time: '$context.requestTime',
          method: '$context.httpMethod',
          route: '$context.routeKey',
          status: '$context.status',
          milliseconds: '$context.responseLatency',
        }),
      },
      // Of each route, so that a flood of one leaves the others open.
      defaultRouteSettings: { throttlingRateLimit: perSecond, throttlingBurstLimit: 2 * perSecond },
      routeSettings: throttlesOf(perSecond),
    });
    // HTTP APIs cannot answer by functions that stream: they ask their URLs, as a long poll, and pass the answer on.
    const longPoll = () => new ParameterMapping().overwriteHeader('prefer', MappingValue.custom(LONG_POLL));
    const streaming = (name: string, path: string) =>
      new HttpUrlIntegration(name, `${stream.url}${path.slice(1)}`, { parameterMapping: longPoll() });
    const integrations: Partial<Record<Endpoint['function'], HttpLambdaIntegration | HttpUrlIntegration>> = {
      ...Object.fromEntries(
        Object.entries(this.functions).map(([name, own]) => [name, new HttpLambdaIntegration(name, own.function)]),
      ),
      // It tells callers where it is, which is here for those who come this way.
      mcp: new HttpUrlIntegration('mcp', `${agents.url}mcp`, {
        parameterMapping: longPoll().overwriteHeader('errand-host', MappingValue.contextVariable('domainName')),
      }),
    };
    const add = (name: string, routeKey: HttpRouteKey, integration: HttpLambdaIntegration | HttpUrlIntegration) => {
      const route = new HttpRoute(this, `Route-${name}`, { httpApi: api, routeKey, integration });
      // The stage names routes, which must be there.
      stage.node.addDependency(route);
      Validations.of(route).acknowledge({
        id: 'AwsSolutions-APIG4',
        reason:
          'The handler itself authenticates, before it looks at anything else of the request, or asks for a signature of it; health and the API’s description are for anyone.',
      });
    };
    for (const [name, endpoint] of Object.entries<Endpoint>(endpoints)) {
      if (endpoint.access === 'runner') continue;
      const integration =
        endpoint.function === 'output' ? streaming(name, endpoint.path) : integrations[endpoint.function];
      if (integration) add(name, HttpRouteKey.with(endpoint.path, HttpMethod[endpoint.method]), integration);
    }
    new Alarm(this, 'ServerErrors', {
      alarmDescription: 'The API answers with 5xx. The logs of its functions say why, by the request’s id.',
      metric: api.metricServerError({ period: Duration.minutes(5), statistic: 'Sum' }),
      threshold: 1,
      evaluationPeriods: 1,
      treatMissingData: TreatMissingData.NOT_BREACHING,
    });
    // A problem for whatever is not there.
    if (integrations['system']) add('default', HttpRouteKey.DEFAULT, integrations['system']);
    return api;
  }
}
