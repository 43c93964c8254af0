import { readFileSync } from 'node:fs';

/** As much of the service's own model as this server goes by. */
interface Member {
  readonly shape: string;
  readonly location?: 'uri' | 'querystring' | 'header';
  readonly locationName?: string;
}
interface Shape {
  readonly type: string;
  readonly members?: Readonly<Record<string, Member>>;
  readonly required?: readonly string[];
  readonly member?: Member;
  readonly union?: boolean;
  readonly pattern?: string;
  readonly min?: number;
  readonly max?: number;
  readonly enum?: readonly string[];
  readonly error?: { readonly httpStatusCode: number };
}

export type Operation =
  | 'RunMicrovm'
  | 'GetMicrovm'
  | 'ListMicrovms'
  | 'TerminateMicrovm'
  | 'SuspendMicrovm'
  | 'ResumeMicrovm';

interface ModelOperation {
  readonly http: { readonly method: string; readonly requestUri: string; readonly responseCode: number };
  readonly input: { readonly shape: string };
  readonly output: { readonly shape: string };
}

const model = JSON.parse(
  readFileSync(new URL('./fixtures/lambda-microvms.service-2.subset.json', import.meta.url), 'utf8'),
) as {
  readonly shapes: Record<string, Shape>;
  readonly operations: Record<Operation | 'CreateMicrovmImage', ModelOperation>;
};

const shapeOf = (name: string): Shape => {
  const shape = model.shapes[name];
  if (!shape) throw new Error(`The model has no shape ${name}`);
  return shape;
};

/** What was asked for, as the service says no. */
export class ServiceError extends Error {
  readonly type: string;
  readonly status: number;
  readonly retryAfterSeconds: number | undefined;

  constructor(type: string, message: string, retryAfterSeconds?: number) {
    super(message);
    this.type = type;
    const status = model.shapes[type]?.error?.httpStatusCode ?? COMMON[type];
    if (status === undefined) throw new Error(`The service has no error ${type}`);
    this.status = status;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** Errors that all of AWS answers with, and no service's model names. */
const COMMON: Readonly<Record<string, number>> = {
  ExpiredTokenException: 403,
  InvalidSignatureException: 403,
  MissingAuthenticationTokenException: 403,
  UnknownOperationException: 404,
  UnrecognizedClientException: 403,
};

/** The operation that a request is for, and what its path says. */
export const routeOf = (
  method: string,
  path: string,
): { readonly operation: Operation; readonly uri: Readonly<Record<string, string>> } | undefined => {
  for (const [operation, { http }] of Object.entries(model.operations)) {
    if (operation === 'CreateMicrovmImage' || http.method !== method) continue;
    const match = new RegExp(`^${http.requestUri.replaceAll(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`).exec(path);
    if (!match) continue;
    const uri = Object.entries(match.groups ?? {}).map(([name, value]) => [name, decodeURIComponent(value)]);
    return { operation: operation as Operation, uri: Object.fromEntries(uri) };
  }
  return undefined;
};

/**
 * A request's members, from wherever they stand, as the model has them.
 * @throws ServiceError for the first that is not by the model; members that it does not know are faults too
 */
export const readRequest = (
  operation: Operation,
  { uri, query, body }: { uri: Readonly<Record<string, string>>; query: URLSearchParams; body: string },
): Readonly<Record<string, unknown>> => {
  const { members = {} } = shapeOf(model.operations[operation].input.shape);
  const value: Record<string, unknown> = { ...parse(body), ...uri };
  for (const [name, text] of query) {
    const [key, member] = Object.entries(members).find(([, one]) => one.locationName === name) ?? [name];
    value[key] = member && shapeOf(member.shape).type === 'integer' ? Number(text) : text;
  }
  const fault = faultOf(model.operations[operation].input.shape, value, '');
  if (fault) throw new ServiceError('ValidationException', `1 validation error detected: ${fault}`);
  return value;
};

const parse = (body: string): object => {
  try {
    return body === '' ? {} : (JSON.parse(body) as object);
  } catch {
    throw new ServiceError('ValidationException', 'The body is not JSON.');
  }
};

/** The status and the body of an answer. @throws Error when it is not by the model */
export const writeAnswer = (
  operation: Operation,
  value: object,
): { readonly status: number; readonly body: string } => {
  const { http, output } = model.operations[operation];
  const fault = faultOf(output.shape, value, '');
  if (fault) throw new Error(`The answer to ${operation} is not by the model: ${fault}`);
  return { status: http.responseCode, body: JSON.stringify(value) };
};

/** What is wrong with a value: the first fault. */
export const faultOf = (name: string, value: unknown, at: string): string | undefined => {
  const shape = shapeOf(name);
  const wrong = (rule: string) => `Value at '${at.replace(/^\./, '')}' failed to satisfy constraint: ${rule}`;
  switch (shape.type) {
    case 'structure': {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return wrong('a structure');
      return faultIn(shape, value as Readonly<Record<string, unknown>>, at);
    }
    case 'list': {
      if (!Array.isArray(value)) return wrong('a list');
      if (!isWithin(shape, value.length)) return wrong(`length between ${shape.min} and ${shape.max}`);
      const { shape: item = '' } = shape.member ?? {};
      return value.map((one, index) => faultOf(item, one, `${at}.${index}`)).find((fault) => fault !== undefined);
    }
    case 'string': {
      if (typeof value !== 'string') return wrong('a string');
      if (!isWithin(shape, value.length)) return wrong(`length between ${shape.min} and ${shape.max}`);
      if (shape.enum && !shape.enum.includes(value)) return wrong(`enum value set: [${shape.enum.join(', ')}]`);
      // Of one that has no ends of its own, the service means the whole in most places; its reasons have blanks.
      const pattern = name === 'NonBlankString' ? /\S/ : new RegExp(`^(?:${shape.pattern ?? '[^]*'})$`);
      return pattern.test(value) ? undefined : wrong(`regular expression pattern: ${shape.pattern}`);
    }
    case 'integer':
      return Number.isInteger(value) && isWithin(shape, value as number)
        ? undefined
        : wrong(`an integer between ${shape.min} and ${shape.max}`);
    case 'timestamp':
      return typeof value === 'number' ? undefined : wrong('seconds since the epoch');
    case 'boolean':
      return typeof value === 'boolean' ? undefined : wrong('true or false');
    default:
      throw new Error(`The model has a type that this server does not know: ${shape.type}`);
  }
};

const faultIn = (shape: Shape, value: Readonly<Record<string, unknown>>, at: string): string | undefined => {
  const { members = {}, required = [], union } = shape;
  const given = Object.entries(value).filter(([, one]) => one !== undefined);
  const absent = required.find((member) => value[member] === undefined);
  if (absent) return `Value null at '${`${at}.${absent}`.slice(1)}' failed to satisfy constraint: must not be null`;
  if (union && given.length !== 1) return `'${at.slice(1)}' must have exactly one member`;
  for (const [member, one] of given) {
    const own = members[member];
    if (!own) return `unknown member '${`${at}.${member}`.slice(1)}'`;
    const fault = faultOf(own.shape, one, `${at}.${member}`);
    if (fault) return fault;
  }
  return undefined;
};

const isWithin = ({ min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY }: Shape, size: number): boolean =>
  size >= min && size <= max;
