import { readFileSync } from 'node:fs';

/** As much of the service's own model as this server goes by. */
interface Shape {
  readonly members?: Readonly<Record<string, { shape: string; location?: string; locationName?: string }>>;
  readonly pattern?: string;
  readonly min?: number;
  readonly max?: number;
  readonly enum?: readonly string[];
  readonly error?: { readonly httpStatusCode: number; readonly senderFault?: boolean };
}

export type Operation = 'Invoke' | 'InvokeWithResponseStream';

const model = JSON.parse(readFileSync(new URL('./fixtures/invoke.service-2.subset.json', import.meta.url), 'utf8')) as {
  shapes: Record<string, Shape>;
  operations: Record<Operation, { input: { shape: string } }>;
};

const shapeOf = (name: string): Shape => model.shapes[name] ?? {};

/** An error as the service words it. */
export interface ServiceError {
  readonly status: number;
  readonly type: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, string>>;
}

/** Errors that all of AWS answers with, and no service's model names. */
const COMMON: Readonly<Record<string, number>> = {
  AccessDeniedException: 403,
  MissingAuthenticationTokenException: 403,
  ValidationException: 400,
  UnknownOperationException: 404,
};

export const serviceError = (
  type: string,
  message: string,
  { reason, retryAfterSeconds }: { readonly reason?: string; readonly retryAfterSeconds?: number } = {},
): ServiceError => {
  const { error, members } = shapeOf(type);
  const status = error?.httpStatusCode ?? COMMON[type];
  if (status === undefined) throw new Error(`The service has no error ${type}`);
  if (reason !== undefined && !shapeOf('ThrottleReason').enum?.includes(reason)) throw new Error(`No reason ${reason}`);
  return {
    status,
    type,
    headers: retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) },
    body: {
      // Some have it in lower case, some do not.
      [members?.['Message'] ? 'Message' : 'message']: message,
      Type: error?.senderFault || status < 500 ? 'User' : 'Service',
      ...(reason === undefined ? {} : { Reason: reason }),
    },
  };
};

/** Signed and transport headers, which are in no model. */
const OF_ALL: readonly string[] = [
  'x-amz-date',
  'x-amz-content-sha256',
  'x-amz-security-token',
  'x-amz-user-agent',
  'amz-sdk-invocation-id',
  'amz-sdk-request',
];

/** What is wrong with a request, by the model: the first fault. Unknown headers and parameters are faults too. */
export const faultOf = (
  operation: Operation,
  { path, query, headers }: { path: string; query: URLSearchParams; headers: NodeJS.Dict<string | string[]> },
): ServiceError | undefined => {
  const input = Object.values(shapeOf(model.operations[operation].input.shape).members ?? {});
  const known = (location: string) =>
    new Map(
      input.filter((one) => one.location === location).map((one) => [one.locationName?.toLowerCase(), one.shape]),
    );
  const given = [
    ...[...known('uri').values()].map((shape) => ['FunctionName', path, shape] as const),
    ...[...query].map(([name, value]) => [name, value, known('querystring').get(name.toLowerCase())] as const),
    ...Object.entries(headers)
      .filter(([name]) => /^(x-amz-|amz-)/.test(name) && !OF_ALL.includes(name))
      .map(([name, value]) => [name, String(value), known('header').get(name)] as const),
  ];
  for (const [name, value, shape] of given) {
    if (shape === undefined)
      return serviceError('ValidationException', `1 validation error detected: unknown '${name}'`);
    const { pattern, min = 0, max = Number.POSITIVE_INFINITY, enum: values } = shapeOf(shape);
    if (pattern !== undefined && !new RegExp(`^(?:${pattern})$`).test(value)) return invalid(name, value, pattern);
    if (value.length < min || value.length > max) return invalid(name, value, `length between ${min} and ${max}`);
    if (values && !values.includes(value)) return invalid(name, value, `enum value set: [${values.join(', ')}]`);
  }
  return undefined;
};

const invalid = (name: string, value: string, rule: string): ServiceError =>
  serviceError(
    'ValidationException',
    `1 validation error detected: Value '${value}' at '${name}' failed to satisfy constraint: ${rule}`,
  );
