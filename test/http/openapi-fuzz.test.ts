import Ajv, { type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openapi } from '../../shared/contract/openapi.ts';
import { openWatched } from '../support/errand.ts';
import { fromSchema, type Schema } from '../support/fuzz/from-schema.ts';
import { tempDirectory } from '../support/temp-directory.ts';

/** More of it, or another part: `FUZZ_RUNS=2000 FUZZ_SEED=7 npx vitest run test/http/openapi-fuzz.test.ts`. */
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 40);
const SEED = Number(process.env['FUZZ_SEED'] ?? 41);

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly schema: Schema;
}

interface Operation {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<Record<string, { readonly content: Readonly<Record<string, { schema?: Schema }>> }>>;
}

const document = openapi() as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
};
const { schemas } = document.components;

const ajv = new Ajv.default({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema({ $id: 'api', components: { schemas } });
const validators = new Map<string, ValidateFunction>();
const validatorOf = ({ $ref = '' }: Schema): ValidateFunction => {
  const known = validators.get($ref) ?? ajv.compile({ $ref: `api${$ref}` });
  validators.set($ref, known);
  return known;
};

const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    name: `${method.toUpperCase()} ${path}`,
    method,
    path,
    operation,
  })),
);

/** What is taken as it is: a body of random fields hardly ever is, where one field depends on another. */
const GOOD: Readonly<Record<string, object>> = {
  'POST /v1/commands': { argv: ['true'] },
  'POST /v1/commands/{id}/move': { target: 'local' },
  'POST /v1/members': { name: 'ada', role: 'operator' },
  'PATCH /v1/members/{id}': { role: 'viewer' },
  'PATCH /v1/tenants/{id}': { name: 'Acme' },
  'POST /v1/policies:explain': { command: { argv: ['true'] } },
  'POST /v1/schedules': { everySeconds: 3_600, command: { argv: ['true'] } },
  'PUT /v1/schedules/{id}': { everySeconds: 3_600, command: { argv: ['true'] } },
  'POST /v1/sessions/{id}/commands': { script: ':' },
  'POST /v1/workflows': { nodes: { only: { command: { argv: ['true'] } } } },
  'POST /v1/triggers': { signature: { kind: 'github' }, command: { argv: ['true', '{{ body.x }}'] } },
  'PUT /v1/triggers/{id}': { signature: { kind: 'github' }, command: { argv: ['true', '{{ body.x }}'] } },
  'POST /v1/triggers/{id}/rotate': {},
  'PUT /v1/secrets/{name}': { value: 'hidden' },
  // A name of this machine: nothing is asked of it.
  'POST /v1/webhooks': { url: 'https://localhost/', events: ['command.*'] },
  'PATCH /v1/webhooks/{id}': { description: 'to nobody' },
  'POST /v1/webhooks/{id}/redeliver': { status: 'dead' },
  'POST /mcp': { jsonrpc: '2.0', id: 1, method: 'tools/list' },
};

/** Some of a body's fields, and over them what is taken as it is. */
const bodiesOf = (name: string, schema: Schema): fc.Arbitrary<unknown> => {
  const random = fromSchema(schema, schemas);
  const good = GOOD[name];
  if (!good) return random;
  const some = random.map((body) => (isObject(body) ? Object.entries(body).slice(0, 1) : []));
  return fc.oneof(
    random,
    fc.constant(good),
    some.map((fields) => ({ ...Object.fromEntries(fields), ...good })),
  );
};

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

interface Call {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

const printable = fc.string({ maxLength: 30 }).filter((value) => !/[^\x20-\x7e]/.test(value));

/** Requests of an operation: mostly of its shape, with ids that exist in half of them. */
const callsOf = (
  { name, path, operation }: (typeof operations)[number],
  known: ReadonlyMap<string, string>,
): fc.Arbitrary<Call> => {
  const { parameters = [], requestBody } = operation;
  const value = ({ name, in: where, schema }: Parameter): fc.Arbitrary<unknown> => {
    // A wait would be waited for.
    const made = fromSchema(schema, schemas, /wait/i.test(name) ? 0 : undefined);
    if (where !== 'path') return fc.option(made, { nil: undefined, freq: 2 });
    const id = known.get(path.split(/[/:]/)[2] ?? '');
    return fc.oneof(
      { weight: id === undefined ? 0 : 6, arbitrary: fc.constant(id) },
      { weight: 2, arbitrary: made },
      { weight: 1, arbitrary: fc.string({ unit: 'binary', minLength: 1 }) },
    );
  };
  const bodySchema = requestBody?.content['application/json']?.schema;
  const bytes = requestBody?.content['application/octet-stream'];
  return fc
    .record({
      values: fc.tuple(
        ...parameters.map((parameter) => (parameter.in === 'header' ? header(parameter) : value(parameter))),
      ),
      json: bodySchema ? fc.option(bodiesOf(name, bodySchema), { nil: undefined, freq: 12 }) : fc.constant(undefined),
      raw: bytes ? fc.uint8Array({ maxLength: 200 }) : fc.constant(undefined),
      broken: fc.oneof(
        { weight: 20, arbitrary: fc.constant(undefined) },
        { weight: 1, arbitrary: fc.constantFrom('{', '[]', '"', '{"argv":', '\0', '{"a":1,"a":2}') },
      ),
    })
    .map(({ values, json, raw, broken }) => {
      let filled = path;
      const search = new URLSearchParams();
      const headers: Record<string, string> = {};
      for (const [n, parameter] of parameters.entries()) {
        const given = values[n];
        if (given === undefined) continue;
        const text = typeof given === 'string' ? given : JSON.stringify(given);
        if (parameter.in === 'path')
          filled = filled.replace(`{${parameter.name}}`, () => encodeURIComponent(text.toWellFormed()));
        else if (parameter.in === 'query') search.append(parameter.name, text);
        else headers[parameter.name] = text;
      }
      // Of this protocol every client says so.
      if (name === 'POST /mcp') headers['accept'] = 'application/json, text/event-stream';
      const isJson = bodySchema !== undefined && (json !== undefined || broken !== undefined);
      if (isJson) headers['content-type'] ??= 'application/json';
      if (raw) headers['content-type'] ??= 'application/octet-stream';
      const body = bodySchema ? (broken ?? (json === undefined ? undefined : JSON.stringify(json))) : raw;
      return { url: `${filled}${search.size > 0 ? `?${search}` : ''}`, headers, body };
    });
};

const header = ({ name }: Parameter): fc.Arbitrary<unknown> => {
  const likely: Record<string, readonly string[]> = {
    prefer: ['wait=0', 'respond-async', 'wait=-1', 'wait=x'],
    range: ['bytes=0-', 'bytes=5-1', 'bytes=-3', 'lines=1'],
    'last-event-id': ['1:0', '0', 'x'],
    accept: ['application/json', '*/*'],
  };
  // With any other value of these it would wait, or never end.
  const values =
    name === 'prefer' || name === 'accept'
      ? fc.constantFrom(...(likely[name] as string[]))
      : fc.oneof(fc.constantFrom(...(likely[name] ?? ['a'])), printable);
  return fc.option(values, { nil: undefined, freq: 2 });
};

/** Why this answer is not one of those that the document tells of; undefined when it is. */
const faultOf = async ({ responses }: Operation, response: Response): Promise<string | undefined> => {
  const { status } = response;
  if (status >= 500) return `${status}: ${await response.text()}`;
  const told = responses[status] ?? responses[`${Math.floor(status / 100)}XX`];
  if (!told) return `${status} is not documented`;
  const text = await response.text();
  const [type = ''] = (response.headers.get('content-type') ?? '').split(';');
  if (text === '' && Object.keys(told.content).length === 0) return undefined;
  const media = told.content[type];
  if (!media) return `${status} with ${type || 'no type'} is not documented: ${text.slice(0, 200)}`;
  if (!media.schema) return undefined;
  const validate = validatorOf(media.schema);
  return validate(JSON.parse(text)) ? undefined : `${status} breaks its schema: ${ajv.errorsText(validate.errors)}`;
};

/** One of each thing that has an id, by the part of the path that it stands after. It takes commands, and runs none. */
const openFilled = async () => {
  const errand = await openWatched({ dataDirectory: tempDirectory(), work: false });
  onTestFinished(() => errand.close());
  const json = { 'content-type': 'application/json' };
  const ask = async <T>(method: string, path: string, body?: unknown, key?: string): Promise<T> => {
    const headers = {
      ...(body === undefined ? {} : json),
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
    };
    const init = body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) };
    return (await (await errand.fetch(`${errand.url}${path}`, init)).json()) as T;
  };
  const post = async (path: string, body: unknown) => (await ask<{ id?: string }>('POST', path, body)).id;
  const rule = { name: 'ask', effect: 'approval', programs: ['needs-approval'] };
  await ask('POST', '/v1/policies', { policy: { default: 'allow', rules: [rule] } });
  await ask('PUT', '/v1/roles/auditors', { permissions: ['audit:read'] });
  const ada = await post('/v1/members', { name: 'ada', role: 'operator' });
  const { id: keyId, key } = await ask<{ id: string; key: string }>('POST', '/v1/api-keys', { name: 'a', member: ada });
  await ask('POST', '/v1/commands', { argv: ['needs-approval'] }, key);
  const approvals = await ask<{ items: { id: string }[] }>('GET', '/v1/approvals');
  const known = new Map([
    ['commands', await post('/v1/commands', { argv: ['true'], stdin: 'open' })],
    ['triggers', await post('/v1/triggers', GOOD['POST /v1/triggers'] ?? {})],
    ['schedules', await post('/v1/schedules', { name: 'hourly', everySeconds: 3_600, command: { argv: ['true'] } })],
    ['sessions', await post('/v1/sessions', {})],
    ['workflows', await post('/v1/workflows', { nodes: { only: { command: { argv: ['true'] } } } })],
    ['webhooks', await post('/v1/webhooks', { url: 'https://localhost/', events: ['command.*'] })],
    ['tenants', await post('/v1/tenants', { id: 'acme', name: 'Acme' })],
    ['members', ada],
    ['api-keys', keyId],
    ['approvals', approvals.items[0]?.id],
    ['policies', '1'],
    ['roles', 'auditors'],
  ]);
  const missing = [...known].flatMap(([what, id]) => (id === undefined ? [what] : []));
  expect(missing, 'could not be made').toEqual([]);
  return { errand, known: known as ReadonlyMap<string, string> };
};

describe('whatever is sent to', () => {
  const taken = new Set<string>();

  test.each(operations)(
    '$name is answered as the document says, and never with 5xx',
    async (operation) => {
      const { method, operation: told } = operation;
      const { errand, known } = await openFilled();
      await fc.assert(
        fc.asyncProperty(callsOf(operation, known), async ({ url, headers, body }) => {
          const response = await errand.fetch(`${errand.url}${url}`, {
            method: method.toUpperCase(),
            headers,
            ...(body === undefined ? {} : { body: body as string }),
          });
          if (response.ok) taken.add(operation.name);
          expect(await faultOf(told, response), `${method} ${url} ${JSON.stringify(body)}`).toBeUndefined();
        }),
        { numRuns: RUNS, seed: SEED },
      );
    },
    30_000 + RUNS * 200,
  );

  test('any of them, each was taken once, so that it is not only the validation that answers', () => {
    expect(operations.filter(({ name }) => !taken.has(name)).map(({ name }) => name)).toEqual([
      // Nothing runs, is signed or is counted here, no session was begun, and no issuer is trusted.
      // Nor is it a WebSocket that is asked for.
      'GET /v1/commands/{id}/terminal',
      'POST /v1/commands/{id}/signal',
      'POST /v1/session-tokens/refresh',
      'DELETE /v1/session-tokens/{id}',
      'GET /v1/commands/{id}/receipt',
      'POST /hooks/{id}',
      'POST /v1/workflows/{id}/resume',
      'GET /.well-known/oauth-protected-resource/mcp',
      'GET /.well-known/oauth-protected-resource',
      'GET /metrics',
    ]);
  });
});
