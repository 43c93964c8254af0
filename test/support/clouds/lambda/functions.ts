import {
  type Environment,
  type FunctionSpec,
  type InvocationEnd,
  type InvocationSpec,
  openEnvironment,
} from './environment.ts';
import { type ServiceError, serviceError } from './model.ts';

interface FunctionsOptions {
  readonly functions: Readonly<Record<string, FunctionSpec>>;
  readonly folder: string;
  readonly region: string;
  readonly concurrency?: number;
}

/** An invocation that may run. */
export interface Admitted {
  /** Finds or makes an environment, and invokes. @param onBytes see InvocationSpec */
  run(onBytes: InvocationSpec['onBytes']): Promise<InvocationEnd>;
  /** In the background, and up to `retries` times more when it fails, as `Event` is. */
  again(retries: number): Promise<void>;
  /** The last 4 KB of its log. */
  logTail(): string;
}

export interface Functions {
  readonly environments: readonly Environment[];
  admit(name: string, invocation: Omit<InvocationSpec, 'onBytes'>): Admitted | ServiceError;
  quiet(): Promise<void>;
  close(): Promise<void>;
}

const RETRY_AFTER_SECONDS = 1;

/** The functions of an account, and their environments: one invocation at a time in each, used again for the same tenant. */
export const makeFunctions = ({ functions, folder, region, concurrency = 1_000 }: FunctionsOptions): Functions => {
  const environments: Environment[] = [];
  const idle = new Map<string, Environment[]>();
  const runningByName = new Map<string, number>();
  const underWay = new Set<Promise<unknown>>();
  let closed = false;

  const runningInAll = (): number => [...runningByName.values()].reduce((sum, count) => sum + count, 0);
  const count = (name: string, by: number): void => {
    runningByName.set(name, (runningByName.get(name) ?? 0) + by);
  };

  const throttled = (name: string): ServiceError | undefined => {
    const reserved = functions[name]?.reservedConcurrency;
    const isReserved = reserved !== undefined && (runningByName.get(name) ?? 0) >= reserved;
    if (!isReserved && runningInAll() < concurrency) return undefined;
    return serviceError('TooManyRequestsException', 'Rate Exceeded.', {
      reason: isReserved ? 'ReservedFunctionConcurrentInvocationLimitExceeded' : 'ConcurrentInvocationLimitExceeded',
      retryAfterSeconds: RETRY_AFTER_SECONDS,
    });
  };

  const find = async (name: string, spec: FunctionSpec, key: string): Promise<Environment> => {
    const waiting = idle.get(key) ?? [];
    for (let ready = waiting.pop(); ready; ready = waiting.pop()) if (ready.alive()) return ready;
    const made = await openEnvironment(name, spec, { folder, region });
    environments.push(made);
    return made;
  };

  return {
    environments,
    admit(name, invocation) {
      const spec = functions[name];
      if (!spec) throw new Error(`No function ${name}`);
      const refusal = throttled(name);
      if (refusal) return refusal;
      const key = `${name} ${invocation.tenantId ?? ''}`;
      let environment: Environment | undefined;
      const once = async (onBytes: InvocationSpec['onBytes']): Promise<InvocationEnd> => {
        const own = await find(name, spec, key);
        environment = own;
        const end = await own.invoke({ ...invocation, onBytes });
        // Not before its runtime has asked for the next: only then does it stand still.
        const giveBack = own.settled().then((usable) => {
          if (usable && !closed) idle.set(key, [...(idle.get(key) ?? []), own]);
        });
        underWay.add(giveBack);
        void giveBack.finally(() => underWay.delete(giveBack));
        return end;
      };
      const run: Admitted['run'] = (onBytes) => {
        count(name, 1);
        const running = once(onBytes).finally(() => count(name, -1));
        underWay.add(running);
        void running.finally(() => underWay.delete(running));
        return running;
      };
      const again: Admitted['again'] = async (retries) => {
        const { errorType } = await run(async () => {});
        if (errorType !== undefined && retries > 0 && !closed) await again(retries - 1);
      };
      return {
        run,
        again,
        logTail: () => (environment?.log() ?? '').slice(-4_096),
      };
    },
    async quiet() {
      while (underWay.size > 0) await Promise.all(underWay);
    },
    async close() {
      closed = true;
      await Promise.all(environments.map((environment) => environment.close()));
    },
  };
};
