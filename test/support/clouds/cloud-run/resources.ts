/** Cloud Run's resources as far as this server reads them; whatever else a caller sends is kept and given back. */
export interface EnvVar {
  readonly name: string;
  readonly value?: string;
}
export interface ContainerTemplate {
  readonly image?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly EnvVar[];
  readonly resources?: { readonly limits?: Readonly<Record<string, string>> };
}
export interface TaskTemplate {
  readonly containers?: readonly ContainerTemplate[];
  readonly maxRetries?: number;
  readonly timeout?: string;
}
export interface Condition {
  readonly type: string;
  readonly state: 'CONDITION_RECONCILING' | 'CONDITION_SUCCEEDED' | 'CONDITION_FAILED';
  readonly message?: string;
  readonly reason?: string;
  readonly executionReason?: string;
  readonly lastTransitionTime?: string;
}
export interface JobBody {
  readonly labels?: Readonly<Record<string, string>>;
  readonly template?: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly taskCount?: number;
    readonly template?: TaskTemplate;
  };
}
export interface RunOverrides {
  readonly containerOverrides?: readonly {
    readonly args?: readonly string[];
    readonly env?: readonly EnvVar[];
    readonly clearArgs?: boolean;
  }[];
  readonly taskCount?: number;
  readonly timeout?: string;
}

/** An answer that is an error, in the service's form. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}
export const invalid = (message: string): ApiError => new ApiError(400, 'INVALID_ARGUMENT', message);
export const notFound = (name: string): ApiError => new ApiError(404, 'NOT_FOUND', `Resource '${name}' was not found`);

const MOST_VALUE_BYTES = 32_768;
const MOST_SECONDS = 7 * 24 * 3_600;
const CPUS = ['1', '2', '4', '8'];

/** @throws ApiError */
export const checkTask = ({ containers = [], timeout }: TaskTemplate): void => {
  if (containers.length !== 1) throw invalid('Violation in the job: it must have exactly one container.');
  const [{ image, env, resources } = {}] = containers;
  if (!image) throw invalid('template.template.containers[0].image: must not be empty.');
  const { cpu = '1', memory = '512Mi' } = resources?.limits ?? {};
  if (!CPUS.includes(cpu)) throw invalid(`Invalid value specified for cpu. It must be one of ${CPUS.join(', ')}.`);
  const mebibytes = Number(/^(\d+)Mi$/.exec(memory)?.[1] ?? Number(/^(\d+)Gi$/.exec(memory)?.[1]) * 1_024);
  const least = cpu === '8' ? 4_096 : cpu === '4' ? 2_048 : 512;
  if (!(mebibytes >= least)) throw invalid(`Invalid value specified for memory. With ${cpu} CPU at least ${least}Mi.`);
  checkEnv(env);
  checkTimeout(timeout);
};

export const checkEnv = (env: readonly EnvVar[] = []): void => {
  for (const { name, value = '' } of env) {
    if (!name) throw invalid('env.name: must not be empty.');
    if (Buffer.byteLength(value) > MOST_VALUE_BYTES) throw invalid(`env ${name}: must not exceed 32768 bytes.`);
  }
};

export const checkTimeout = (timeout: string | undefined): void => {
  if (timeout !== undefined && secondsOf(timeout) > MOST_SECONDS) throw invalid('timeout: must be at most 168 hours.');
};

export const secondsOf = (duration: string): number => Number(duration.slice(0, -1));

/** As an override is applied: `args` replaces, `env` is merged, and nothing can be taken away. */
export const overridden = (template: TaskTemplate, overrides: RunOverrides = {}): TaskTemplate => {
  const [container = {}] = template.containers ?? [];
  const [{ args, env = [], clearArgs = false } = {}] = overrides.containerOverrides ?? [];
  const values = new Map([...(container.env ?? []), ...env].map((one) => [one.name, one]));
  const { args: own, ...rest } = container;
  const used = clearArgs ? undefined : (args ?? own);
  return {
    ...template,
    ...(overrides.timeout === undefined ? {} : { timeout: overrides.timeout }),
    containers: [{ ...rest, ...(used ? { args: used } : {}), env: [...values.values()] }],
  };
};
