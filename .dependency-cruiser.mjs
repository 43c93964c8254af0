const ADAPTERS =
  '^shared/(store/sqlite/|queue/(in-process|sqs)|objects/(files|s3)|events/event-bridge|providers/[^/]+/)';
/** Makes a package of the client, and is none of it. */
const PACKER = '^clients/sdk/pack\\.mjs$';
const rule = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });

/** The import directions of docs/architecture.md. Imports point down only. */
export default {
  forbidden: [
    rule('no-circular', 'Two files that need each other are one, or lack a third.', {}, { circular: true }),
    rule(
      'no-orphans',
      'What nothing imports is dead, unless it is an entry.',
      {
        orphan: true,
        pathNot: [
          '\\.d\\.ts$',
          '^[^/]+\\.(ts|mjs)$',
          '^clients/cli/errand\\.js$',
          '^infra/app\\.ts$',
          '^runner/(microvm/)?main\\.ts$',
          '^test/support/programs/',
          '\\.test\\.ts$',
        ],
      },
      {},
    ),
    rule(
      'domain-is-the-floor',
      'The domain knows nothing but itself.',
      { path: '^shared/domain/' },
      {
        path: '^(shared|functions|local|clients|infra)/',
        pathNot: '^shared/domain/',
      },
    ),
    rule(
      'engine-sees-domain-only',
      'What happens when depends on nothing that happens.',
      { path: '^shared/engine/' },
      {
        path: '^(shared|functions|local|clients|infra)/',
        pathNot: '^shared/(engine|domain)/',
      },
    ),
    rule(
      'contract-sees-domain-only',
      'Clients load the contract, also in browsers.',
      { path: '^shared/contract/' },
      {
        path: '^(shared|functions|local|clients|infra)/',
        pathNot: '^shared/(contract|domain)/',
      },
    ),
    rule(
      'core-is-portable',
      'Domain, engine and contract run in a browser too.',
      { path: '^shared/(domain|engine|contract)/' },
      {
        dependencyTypes: ['core'],
      },
    ),
    rule(
      'app-sees-ports-only',
      'A use case is given its adapters.',
      { path: '^shared/(app|http|events|telemetry|store/[^/]+\\.ts$)' },
      { path: [ADAPTERS, '^shared/providers/registry\\.ts$'] },
    ),
    rule(
      'ports-are-below-app',
      'What stores and carries knows nothing of what is decided.',
      { path: '^shared/(store|queue|objects|telemetry)/' },
      { path: '^shared/(app|engine|contract|providers|http)/' },
    ),
    rule(
      'app-is-below-http',
      'Use cases know nothing of requests.',
      { path: '^shared/(app|store|queue|objects|providers|events)/' },
      {
        path: '^shared/http/',
      },
    ),
    rule(
      'mcp-is-above-http',
      'Tools stand beside requests; nothing below knows them, or loads the protocol’s library.',
      { path: '^shared/', pathNot: '^shared/mcp/' },
      { path: ['^shared/mcp/', '^(node_modules/)?@modelcontextprotocol/'] },
    ),
    rule(
      'shared-stands-alone',
      'The product knows nothing of who hosts or calls it.',
      { path: '^shared/' },
      {
        path: '^(functions|local|clients|infra)/',
      },
    ),
    rule(
      'functions-see-shared-only',
      'A handler is a sentence.',
      { path: '^functions/' },
      { path: '^(local|clients|infra)/' },
    ),
    rule(
      'adapters-are-strangers',
      'An adapter knows its port and the domain, no other adapter.',
      { path: '^shared/(store/sqlite/|queue/(in-process|sqs)|objects/(files|s3))' },
      {
        path: ADAPTERS,
        pathNot: ['^shared/store/sqlite/'],
      },
    ),
    rule(
      'providers-are-strangers',
      'A provider knows its port, what providers share, the domain and the log, nothing else of ours.',
      { path: '^shared/providers/([^/]+)/' },
      {
        path: '^shared/',
        pathNot: [
          '^shared/providers/$1/',
          '^shared/providers/(provider|context|elsewhere|calls)\\.ts$',
          '^shared/runner/program\\.ts$',
          '^shared/(domain|telemetry)/',
        ],
      },
    ),
    rule(
      'runner-is-a-guest',
      'It stands in other people’s images: it knows the protocol and the launcher it is given, nothing of the control plane.',
      { path: '^shared/runner/' },
      { path: '^shared/(app|access|engine|http|queue|objects|events)/' },
    ),
    rule(
      'providers-by-registry',
      'Providers are loaded by the registry, lazily.',
      { path: '^(shared|functions|local)/', pathNot: '^shared/providers/' },
      {
        path: '^shared/providers/[^/]+/',
      },
    ),
    rule(
      'sdk-in-its-provider',
      'A cloud SDK is loaded only when its provider is used.',
      { pathNot: '^(shared/providers/[^/]+/|test/|bench/|node_modules/)' },
      { path: '^(node_modules/)?(@google-cloud/|@azure/|@aws-sdk/client-lambda|dockerode)' },
    ),
    rule(
      'telemetry-in-its-adapters',
      'What tells of traces and keeps figures is loaded only where these are asked for.',
      { path: '^(shared|functions|local|clients)/', pathNot: '^shared/telemetry/(otlp|prometheus)\\.ts$' },
      { path: '^(node_modules/)?(@opentelemetry/|prom-client)' },
    ),
    rule(
      'clients-see-the-contract',
      'A client is no part of the server; its embedded.ts is the one door.',
      { path: '^clients/', pathNot: '^clients/cli/embedded\\.ts$' },
      {
        path: '^(shared|functions|local|infra)/',
        pathNot: '^shared/(contract|domain)/',
      },
    ),
    rule('sdk-below-cli', 'The SDK knows nothing of the CLI.', { path: '^clients/sdk/' }, { path: '^clients/cli/' }),
    rule(
      'sqlite-behind-the-store',
      'One adapter, and the lock that borrows from it.',
      { pathNot: ['^shared/store/sqlite/', '^local/process-lock\\.ts$', '^test/'] },
      {
        path: '^(node:)?sqlite$',
      },
    ),
    rule(
      'sqs-behind-the-queue',
      'One adapter sends; its consumers are given events.',
      { pathNot: ['^shared/queue/sqs\\.ts$', '^test/', '^bench/', '^node_modules/'] },
      { path: '^(node_modules/)?@aws-sdk/client-sqs' },
    ),
    rule(
      'event-bridge-behind-the-subscription',
      'One adapter.',
      { pathNot: ['^shared/events/event-bridge\\.ts$', '^test/', '^bench/', '^node_modules/'] },
      { path: '^(node_modules/)?@aws-sdk/client-eventbridge' },
    ),
    rule(
      's3-behind-the-objects',
      'One adapter.',
      { pathNot: ['^shared/objects/s3\\.ts$', '^test/', '^bench/', '^node_modules/'] },
      { path: '^(node_modules/)?@aws-sdk/client-s3' },
    ),
    rule(
      'processes-behind-the-provider',
      'Only local execution starts processes, the battery that attacks it, and the keeper of a MicroVM its runner.',
      {
        pathNot: [
          '^shared/providers/local/',
          '^local/isolation/',
          '^runner/microvm/main\\.ts$',
          '^test/',
          '^bench/',
          PACKER,
        ],
      },
      {
        path: '^(node:)?child_process$',
      },
    ),
    rule(
      'not-for-production',
      'What ships must not need what is for development.',
      { path: '^(shared|functions|local|clients)/', pathNot: PACKER },
      {
        dependencyTypes: ['npm-dev'],
        dependencyTypesNot: ['type-only'],
        pathNot: '^node_modules/@types/',
      },
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    exclude: { path: '^(cdk\\.out|coverage)/' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
