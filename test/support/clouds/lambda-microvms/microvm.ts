import { randomUUID } from 'node:crypto';
import { KEEPER_ENVIRONMENT } from '../../../../shared/runner/program.ts';
import { type Container, startContainer } from '../container.ts';

export type State = 'PENDING' | 'RUNNING' | 'SUSPENDING' | 'SUSPENDED' | 'TERMINATING' | 'TERMINATED';

export interface MicrovmImage {
  /** Newest last. @default ['1.0'] */
  readonly versions?: readonly string[];
  /** What its Dockerfile starts. */
  readonly command: readonly string[];
  /** Whether it was registered with the hooks `run` and `terminate`. @default true */
  readonly hooks?: boolean;
}

export interface MicrovmOptions {
  /** Machines have their folders in here. */
  readonly folder: string;
  /** From PENDING until the machine resumes its snapshot. @default 30 */
  readonly startMs?: number;
  /** The payload is the body of the `/run` hook itself. @default in an envelope */
  readonly bareRunHook?: boolean;
  /** What the image gives its hooks. @default 30000 */
  readonly hookMs?: number;
}

/** What RunMicrovm was asked for, as far as a machine is concerned. */
export interface MicrovmRequest {
  readonly imageArn: string;
  readonly imageVersion: string;
  readonly runHookPayload?: string;
  readonly maximumDurationInSeconds: number;
  readonly ingressNetworkConnectors: readonly string[];
  readonly egressNetworkConnectors: readonly string[];
  readonly executionRoleArn?: string;
}

export interface Microvm {
  readonly id: string;
  readonly request: MicrovmRequest;
  state(): State;
  /** As GetMicrovm shows it. */
  view(): Record<string, unknown>;
  /** As ListMicrovms does. */
  summary(): Record<string, unknown>;
  /** What its processes logged. */
  log(): string;
  suspend(): void;
  resume(): void;
  /** Its `/terminate` hook first. */
  terminate(reason?: string): void;
  /** All of its first process’s group ends at once, without a word to Lambda. */
  crash(): void;
  readonly terminated: Promise<void>;
}

const HOOKS = '/aws/lambda-microvms/runtime/v1';
const LOOK_MS = 10;

export const makeMicrovm = (image: MicrovmImage, request: MicrovmRequest, options: MicrovmOptions): Microvm => {
  const { folder, startMs = 30, bareRunHook = false, hookMs = 30_000 } = options;
  const id = `microvm-${randomUUID()}`;
  const startedAt = Date.now() / 1_000;
  const { promise: terminated, resolve } = Promise.withResolvers<void>();
  let state: State = 'PENDING';
  let stateReason: string | undefined;
  let terminatedAt: number | undefined;
  let container: Container | undefined;
  let keeperUrl: string | undefined;
  const current = (): State => state;

  const hook = (name: string, body = ''): Promise<number> =>
    fetch(`${keeperUrl}${HOOKS}/${name}`, { method: 'POST', body, signal: AbortSignal.timeout(hookMs) }).then(
      ({ status }) => status,
      () => 0,
    );

  /** In the cloud it is asked before the snapshot; here each machine starts anew. */
  const untilReady = async (): Promise<boolean> => {
    for (const giveUpAt = Date.now() + hookMs; Date.now() < giveUpAt && state === 'PENDING'; ) {
      const port = /"port":(\d+)/.exec(container?.log() ?? '')?.[1];
      if (port) {
        keeperUrl = `http://127.0.0.1:${port}`;
        if ((await hook('ready')) === 200) return true;
      }
      await new Promise((wake) => setTimeout(wake, LOOK_MS));
    }
    return false;
  };

  const boot = async (): Promise<void> => {
    if (state !== 'PENDING') return;
    const env = { [KEEPER_ENVIRONMENT.host]: '127.0.0.1', [KEEPER_ENVIRONMENT.port]: '0' };
    container = startContainer({ command: image.command, env, folder, programs: {} });
    if (image.hooks ?? true) {
      if (!(await untilReady())) return end('Run lifecycle hook timed out.');
      const { runHookPayload = '' } = request;
      const body = bareRunHook ? runHookPayload : JSON.stringify({ microvmId: id, runHookPayload });
      const status = await hook('run', body);
      if (status !== 200)
        return end(
          status === 0 ? 'Run lifecycle hook timed out.' : `Run lifecycle hook returned HTTP status ${status}.`,
        );
    }
    if (current() === 'PENDING') state = 'RUNNING';
  };

  const end = async (reason: string): Promise<void> => {
    if (state === 'TERMINATING' || state === 'TERMINATED') return;
    const wasRunning = state === 'RUNNING';
    state = 'TERMINATING';
    clearTimeout(starting);
    clearTimeout(living);
    if (wasRunning && keeperUrl !== undefined) await hook('terminate');
    container?.kill();
    await container?.ended;
    state = 'TERMINATED';
    stateReason = reason;
    terminatedAt = Date.now() / 1_000;
    resolve();
  };

  const starting = setTimeout(() => void boot(), startMs);
  const living = setTimeout(
    () => void end('Maximum duration reached.'),
    Math.min(request.maximumDurationInSeconds * 1_000, 2 ** 31 - 1),
  );

  const summary = () => ({
    microvmId: id,
    state,
    imageArn: request.imageArn,
    imageVersion: request.imageVersion,
    startedAt,
  });

  return {
    id,
    request,
    state: current,
    view: () => ({
      ...summary(),
      endpoint: `https://${id.slice(-12)}.lambda-microvm.eu-central-1.on.aws`,
      maximumDurationInSeconds: request.maximumDurationInSeconds,
      ingressNetworkConnectors: request.ingressNetworkConnectors,
      egressNetworkConnectors: request.egressNetworkConnectors,
      ...(request.executionRoleArn === undefined ? {} : { executionRoleArn: request.executionRoleArn }),
      ...(stateReason === undefined ? {} : { stateReason, terminatedAt }),
    }),
    summary,
    log: () => container?.log() ?? '',
    suspend() {
      container?.signal('SIGSTOP');
      state = 'SUSPENDED';
    },
    resume() {
      container?.signal('SIGCONT');
      state = 'RUNNING';
    },
    terminate: (reason = 'Success.') => void end(reason),
    crash: () => container?.kill(),
    terminated,
  };
};
