import * as z from 'zod';
import { PROBLEMS } from '../domain/errors.ts';
import type { Endpoint } from './endpoint.ts';
import { endpoints } from './endpoints.ts';
import { ProblemView } from './schemas.ts';

type Json = Record<string, unknown>;

/** What callers use. The runners' half is no public contract: it changes together with the runner. */
const TAGS: Readonly<Record<Exclude<Endpoint['function'], 'runner'>, string>> = {
  access: 'Who may do what: keys, session tokens, members, roles, tenants.',
  commands: 'Submit, read and end commands.',
  hooks: 'Webhooks in: what senders call.',
  mcp: 'For AI agents: the Model Context Protocol.',
  output: 'What comes live: what a command wrote, and events.',
  providers: 'Where commands can run.',
  schedules: 'Commands on a clock.',
  secrets: 'Named values that commands are given by reference.',
  system: 'The server itself.',
  triggers: 'Webhooks in: addresses that submit a command for each delivery.',
  webhooks: 'Events that are posted to a URL.',
  workflows: 'Commands that need each other.',
};

const BEARER = {
  type: 'http',
  scheme: 'bearer',
  description:
    'An API key, an access token of a trusted issuer, or a session token. The embedded server on loopback needs none.',
};

/** The endpoint table as an OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1.html). */
export const openapi = (): Json => {
  const paths: Record<string, Json> = {};
  for (const [operationId, endpoint] of Object.entries<Endpoint>(endpoints)) {
    if (endpoint.access === 'runner') continue;
    paths[endpoint.path] = {
      ...paths[endpoint.path],
      [endpoint.method.toLowerCase()]: operation(operationId, endpoint),
    };
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Errand',
      version: '1.0.0',
      description: 'Runs commands somewhere else and brings back what they said.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: 'http://127.0.0.1:7070', description: 'The embedded server' }],
    security: [{ bearer: [] }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths,
    components: { schemas: components(), securitySchemes: { bearer: BEARER } },
  };
};

const operation = (operationId: string, endpoint: Endpoint): Json => {
  const parameters = [
    ...parametersOf(endpoint.params, 'path'),
    ...parametersOf(endpoint.query, 'query'),
    ...Object.entries(endpoint.headers ?? {}).map(([name, description]) => ({
      name,
      in: 'header',
      description,
      schema: { type: 'string' },
    })),
  ];
  return {
    operationId,
    summary: endpoint.summary,
    tags: [endpoint.function],
    ...(endpoint.access === 'anyone' ? { security: [] } : {}),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...requestBody(endpoint),
    responses: responses(endpoint),
  };
};

const requestBody = ({ body, bodyOptional, bodyBytes }: Endpoint): Json => {
  if (body) {
    return { requestBody: { required: !bodyOptional, content: { 'application/json': { schema: reference(body) } } } };
  }
  if (bodyBytes === undefined) return {};
  const content = { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } };
  return { requestBody: { required: true, description: `At most ${bodyBytes} bytes.`, content } };
};

const responses = ({ answers }: Endpoint): Json => {
  const entries = Object.entries(answers).map(([status, { description, schema, mediaTypes }]) => {
    const content = {
      ...(schema ? { 'application/json': { schema: reference(schema) } } : {}),
      ...Object.fromEntries((mediaTypes ?? []).map((type) => [type, {}])),
    };
    return [status, { description, content }];
  });
  const codes = Object.keys(PROBLEMS).join(', ');
  const problem = {
    description: `A problem (RFC 9457). \`code\` is one of: ${codes}.`,
    content: { 'application/problem+json': { schema: reference(ProblemView) } },
  };
  return { ...Object.fromEntries(entries), '4XX': problem, '5XX': problem };
};

const parametersOf = (schema: z.ZodObject | undefined, where: 'path' | 'query'): Json[] =>
  Object.entries(schema?.shape ?? {}).map(([name, field]) => {
    const own = (field instanceof z.ZodOptional ? field.unwrap() : field) as z.ZodType;
    return { name, in: where, required: where === 'path', schema: own.meta()?.id ? reference(own) : inline(own) };
  });

const inline = (schema: z.ZodType): Json => withoutNames(z.toJSONSchema(schema, { io: 'input' }));

/** Every schema that has an id. */
const components = (): Json => {
  const { schemas } = z.toJSONSchema(z.globalRegistry, { io: 'input', uri: (id) => `#/components/schemas/${id}` });
  return Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, withoutNames(schema)]));
};

/** In OpenAPI the place names a schema, and the document's own version the dialect. */
const withoutNames = ({ $schema: _, $id: __, ...schema }: Json): Json => schema;

const reference = (schema: z.ZodType): Json => ({ $ref: `#/components/schemas/${schema.meta()?.id}` });
