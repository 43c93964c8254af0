import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { CANARIES } from '../../canaries/values.ts';
import { startEnvironmentProcess } from './environment-process.ts';

/** A function as it was deployed. */
export interface FunctionSpec {
  /** The folder that its code lies in. */
  readonly root: string;
  /** `file.export`; the file is `<root>/<file>.ts`. */
  readonly handler: string;
  readonly timeoutSeconds: number;
  readonly memoryMiB?: number;
  /** With AWS_LAMBDA_EXEC_WRAPPER the runtime is started by that program. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Tenancy PER_TENANT. */
  readonly tenantIsolation?: boolean;
  readonly reservedConcurrency?: number;
  /** The caller may not invoke it. */
  readonly denied?: boolean;
}

export interface InvocationSpec {
  readonly payload: Buffer;
  readonly arn: string;
  readonly tenantId: string | undefined;
  /** Called with what the function answers, piece by piece; it is read on once the promise resolves. */
  readonly onBytes: (bytes: Buffer) => Promise<void>;
}

/** How an invocation ended. */
export interface InvocationEnd {
  readonly errorType?: string;
  readonly errorMessage?: string;
}

/** An execution environment: one machine, for one function and one tenant, for one invocation at a time. */
export interface Environment {
  /** The function's. */
  readonly name: string;
  readonly tmp: string;
  invoke(invocation: InvocationSpec): Promise<InvocationEnd>;
  /** Whether there is still something in it that could be invoked. */
  alive(): boolean;
  /** Whether it stands ready for the next, once this resolves. */
  readonly settled: () => Promise<boolean>;
  log(): string;
  pids(): number[];
  /** Ends all of it. */
  close(): Promise<void>;
}

/** What a function's role would sign with. Nothing of it may be found by a command. */
const FUNCTION_CREDENTIALS = {
  AWS_ACCESS_KEY_ID: 'ASIAEXECUTORCANARY00',
  AWS_SECRET_ACCESS_KEY: CANARIES.ASCII.toString(),
  AWS_SESSION_TOKEN: CANARIES.BYTES.toString('base64'),
} as const;

const HOST = fileURLToPath(new URL('./runtime-host.ts', import.meta.url));

interface Current {
  readonly id: string;
  readonly spec: InvocationSpec;
  readonly settle: (end: InvocationEnd) => void;
  timer?: NodeJS.Timeout;
}

export const openEnvironment = async (
  name: string,
  spec: FunctionSpec,
  { folder, region }: { readonly folder: string; readonly region: string },
): Promise<Environment> => {
  mkdirSync(folder, { recursive: true });
  const tmp = mkdtempSync(join(folder, 'environment-'));
  let waiting: ServerResponse | undefined;
  let current: Current | undefined;
  let initError: InvocationEnd | undefined;
  let dead = false;
  let idle = Promise.withResolvers<boolean>();

  const finish = (end: InvocationEnd): void => {
    clearTimeout(current?.timer);
    current?.settle(end);
    current = undefined;
  };

  const deliver = (): void => {
    if (!waiting || !current) return;
    const { id, spec: invocation } = current;
    const deadlineAt = Date.now() + spec.timeoutSeconds * 1_000;
    runtime.thaw();
    waiting
      .writeHead(200, {
        'content-type': 'application/json',
        'lambda-runtime-aws-request-id': id,
        'lambda-runtime-deadline-ms': deadlineAt,
        'lambda-runtime-invoked-function-arn': invocation.arn,
        ...(invocation.tenantId === undefined ? {} : { 'lambda-runtime-aws-tenant-id': invocation.tenantId }),
      })
      .end(invocation.payload);
    waiting = undefined;
    current.timer = setTimeout(() => {
      const errorMessage = `RequestId: ${id} Error: Task timed out after ${spec.timeoutSeconds.toFixed(2)} seconds`;
      finish({ errorType: 'Sandbox.Timedout', errorMessage });
      runtime.kill();
    }, spec.timeoutSeconds * 1_000);
  };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = (request.url ?? '').replace('/2018-06-01/runtime/', '');
    if (path === 'invocation/next') {
      waiting = response;
      if (current) return deliver();
      runtime.freeze();
      return idle.resolve(true);
    }
    if (path === 'init/error') {
      initError = toEnd(await buffer(request));
      return void response.writeHead(202).end();
    }
    const [, id, what] = path.split('/');
    if (id !== current?.id) return void response.writeHead(400).end();
    if (what === 'error') {
      const end = toEnd(await buffer(request));
      response.writeHead(202).end();
      return finish(end);
    }
    for await (const bytes of request) await current?.spec.onBytes(bytes as Buffer);
    response.writeHead(202).end();
    if (current?.id !== id) return;
    const errorType = request.trailers['lambda-runtime-function-error-type'];
    const errorBody = request.trailers['lambda-runtime-function-error-body'] ?? '';
    finish(errorType === undefined ? {} : { ...toEnd(Buffer.from(errorBody, 'base64')), errorType });
  };

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const api = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const wrapper = spec.environment?.['AWS_LAMBDA_EXEC_WRAPPER'];
  const host = [process.execPath, '--disable-warning=ExperimentalWarning', HOST] as const;
  const runtime = startEnvironmentProcess(
    wrapper === undefined ? [...host] : [wrapper, ...host],
    {
      PATH: process.env['PATH'] ?? '',
      LANG: 'en_US.UTF-8',
      TZ: ':UTC',
      TMPDIR: tmp,
      AWS_REGION: region,
      AWS_DEFAULT_REGION: region,
      AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
      AWS_LAMBDA_FUNCTION_NAME: name,
      AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(spec.memoryMiB ?? 128),
      AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
      AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${name}`,
      AWS_LAMBDA_LOG_STREAM_NAME: `2026/11/23/[$LATEST]${randomUUID().replaceAll('-', '')}`,
      AWS_LAMBDA_RUNTIME_API: api,
      _HANDLER: spec.handler,
      _X_AMZN_TRACE_ID: 'Root=1-canary;Sampled=0',
      LAMBDA_TASK_ROOT: spec.root,
      ...FUNCTION_CREDENTIALS,
      ...spec.environment,
    },
    tmp,
  );
  void runtime.ended.then(({ exitCode, killed }) => {
    dead = true;
    const how = killed ? 'signal: killed' : `exit status ${exitCode}`;
    const error = { errorType: 'Runtime.ExitError', errorMessage: `Error: Runtime exited with error: ${how}` };
    finish(initError ?? error);
    idle.resolve(false);
  });

  return {
    name,
    tmp,
    invoke: (invocation) =>
      new Promise((settle) => {
        if (dead) return settle(initError ?? { errorType: 'Runtime.ExitError' });
        if (waiting) idle = Promise.withResolvers();
        current = { id: randomUUID(), spec: invocation, settle };
        deliver();
      }),
    alive: () => !dead,
    settled: () => (dead ? Promise.resolve(false) : idle.promise),
    log: runtime.log,
    pids: runtime.pids,
    async close() {
      runtime.kill();
      await runtime.ended;
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};

const toEnd = (body: Buffer): InvocationEnd => {
  const { errorType, errorMessage } = JSON.parse(body.toString()) as Record<string, string>;
  return { errorType: errorType ?? 'Unhandled', errorMessage: errorMessage ?? '' };
};
