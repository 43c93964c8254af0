import type * as z from 'zod';
import type { Endpoint } from '../contract/endpoint.ts';
import { type EndpointName, endpoints } from '../contract/endpoints.ts';
import { AppError, type Fault } from '../domain/errors.ts';
import { oddNameIn } from '../domain/json.ts';
import { LIMITS } from '../domain/limits.ts';
import { decodeFramed } from '../runner/framed.ts';

/** What a handler gets: only what its row in the endpoint table asks for, checked. */
export interface Parsed<N extends EndpointName = EndpointName> {
  readonly name: N;
  readonly params: Output<(typeof endpoints)[N], 'params'>;
  readonly query: Output<(typeof endpoints)[N], 'query'>;
  readonly body: Output<(typeof endpoints)[N], 'body'>;
  /** The JSON head of framed bytes. */
  readonly head: Output<(typeof endpoints)[N], 'head'>;
  /** The body as bytes, or what follows its head, for endpoints that take bytes. */
  readonly bytes: Uint8Array;
  /** By name in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
}

type Output<E, K extends PropertyKey> =
  E extends Record<K, infer S> ? (S extends z.ZodType ? z.output<S> : undefined) : undefined;

/** A request as API Gateway hands it over, the parts that we read. */
export interface RawRequest {
  readonly params: Record<string, string>;
  readonly query: Record<string, string | undefined>;
  readonly headers: Record<string, string | undefined>;
  readonly body: Uint8Array;
}

/**
 * Checks a request against the endpoint table.
 * @throws AppError 'invalid-request' with a pointer to each fault, 'too-large', 'unsupported-media-type'
 */
export const parseRequest = <N extends EndpointName>(name: N, raw: RawRequest): Parsed<N> => {
  const endpoint: Endpoint = endpoints[name];
  const most = endpoint.bodyBytes ?? LIMITS.bodyBytes;
  if (raw.body.length > most) {
    const detail = `The body has ${raw.body.length} bytes; at most ${most} are taken.${hint(endpoint)}`;
    throw new AppError('too-large', detail, { faults: [{ in: 'body', pointer: '', detail }] });
  }
  const faults: Fault[] = [];
  const params = check(endpoint.params, raw.params, 'path', faults);
  const query = check(endpoint.query, raw.query, 'query', faults, { unknownAllowed: endpoint.query === undefined });
  const body = endpoint.body && check(endpoint.body, parseJson(endpoint, raw), 'body', faults);
  const framed = endpoint.head ? parseFramed(raw.body) : { head: undefined, bytes: raw.body };
  const head = endpoint.head && check(endpoint.head, framed.head, 'body', faults);
  refuseFaults(faults);
  return { name, params, query, body, head, bytes: framed.bytes, headers: raw.headers } as Parsed<N>;
};

/** Checks a value as a body is checked. @throws AppError 'invalid-request' with a pointer to each fault */
export const parseValue = <S extends z.ZodType>(schema: S, value: unknown): z.output<S> => {
  const faults: Fault[] = [];
  const parsed = check(schema, value, 'body', faults);
  refuseFaults(faults);
  return parsed as z.output<S>;
};

const refuseFaults = (faults: readonly Fault[]): void => {
  if (faults.length === 0) return;
  const detail = faults.map((fault) => `${fault.pointer}: ${fault.detail}`).join('; ');
  throw new AppError('invalid-request', detail, { faults });
};

const parseFramed = (body: Uint8Array): { readonly head: unknown; readonly bytes: Uint8Array } => {
  const framed = decodeFramed(body);
  if (framed) return framed;
  const detail = 'The body does not begin with the length of its head and the head.';
  throw new AppError('invalid-request', detail, { faults: [{ in: 'body', pointer: '', detail }] });
};

const hint = ({ body }: Endpoint): string =>
  body ? ' Send larger input to PUT /v1/commands/{id}/stdin.' : ' Send it in smaller parts.';

const parseJson = (endpoint: Endpoint, { headers, body }: RawRequest): unknown => {
  if (body.length === 0 && endpoint.bodyOptional) return {};
  const type = headers['content-type'] ?? '';
  if (!/^application\/([a-z0-9.-]+\+)?json\s*(;|$)/i.test(type)) {
    const detail = `The body must be JSON: send Content-Type: application/json${type && `, not ${type.slice(0, 100)}`}.`;
    throw new AppError('unsupported-media-type', detail, {
      faults: [{ in: 'header', pointer: '/content-type', detail }],
    });
  }
  const { text, value } = readJson(body);
  const odd = oddNameIn(text);
  if (!odd) return value;
  const fault: Fault = { in: 'body', pointer: toPointer(odd.path), detail: odd.detail };
  throw new AppError('invalid-request', `${fault.pointer}: ${fault.detail}`, { faults: [fault] });
};

const readJson = (body: Uint8Array): { readonly text: string; readonly value: unknown } => {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
    return { text, value: JSON.parse(text) };
  } catch (cause) {
    // The parser's own words quote the body, which may hold a secret.
    const detail = 'The body is not JSON in UTF-8.';
    throw new AppError('invalid-request', detail, { cause, faults: [{ in: 'body', pointer: '', detail }] });
  }
};

const check = (
  schema: z.ZodType | undefined,
  value: unknown,
  where: Fault['in'],
  faults: Fault[],
  { unknownAllowed = false } = {},
): unknown => {
  if (!schema) return unknownAllowed || where === 'path' ? undefined : value;
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues) faults.push(...toFaults(issue, where));
  return undefined;
};

/** An error that lists fault after fault is no help: beyond these the caller fixes and asks again. */
const MOST_FAULTS = 20;

const toFaults = (issue: z.core.$ZodIssue, where: Fault['in']): Fault[] => {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.slice(0, MOST_FAULTS).map((key) => ({
      in: where,
      pointer: toPointer([...issue.path, key]),
      detail: 'is not a known field',
    }));
  }
  if (issue.code === 'invalid_key' && issue.issues[0]) {
    return [{ in: where, pointer: toPointer(issue.path), detail: issue.issues[0].message }];
  }
  return [{ in: where, pointer: toPointer(issue.path), detail: issue.message }];
};

/** RFC 6901. A name is cut, so that an answer is never much larger than its request's fault. */
const toPointer = (path: readonly PropertyKey[]): string =>
  path.map((part) => `/${String(part).slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
