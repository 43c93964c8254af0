import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** As much of a discovery document as this server goes by. */
interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly format?: string;
  readonly enum?: readonly string[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
}
interface Method {
  readonly httpMethod: string;
  readonly flatPath: string;
  readonly parameters: Readonly<Record<string, { readonly location: string }>>;
  readonly request?: { readonly $ref: string };
  readonly response: { readonly $ref: string };
}
interface Resource {
  readonly methods?: Readonly<Record<string, Method>>;
  readonly resources?: Readonly<Record<string, Resource>>;
}

const document = JSON.parse(
  readFileSync(new URL('./fixtures/run.v2.discovery.jobs-subset.json', import.meta.url), 'utf8'),
) as { schemas: Readonly<Record<string, Schema>>; resources: Readonly<Record<string, Resource>> };

/** What this server serves, by the service's names and those of the document. */
const OPERATIONS = {
  CreateJob: 'jobs.create',
  GetJob: 'jobs.get',
  ListJobs: 'jobs.list',
  DeleteJob: 'jobs.delete',
  RunJob: 'jobs.run',
  GetExecution: 'jobs.executions.get',
  ListExecutions: 'jobs.executions.list',
  CancelExecution: 'jobs.executions.cancel',
  DeleteExecution: 'jobs.executions.delete',
  ListTasks: 'jobs.executions.tasks.list',
  GetOperation: 'operations.get',
} as const;
export type Operation = keyof typeof OPERATIONS;

const methodOf = (path: string): Method => {
  const parts = path.split('.');
  const name = parts.pop() ?? '';
  let at: Resource = { resources: document.resources };
  for (const part of parts) at = at.resources?.[part] ?? {};
  const method = at.methods?.[name];
  if (!method) throw new Error(`The document has no method ${path}`);
  return method;
};

const routes = (Object.entries(OPERATIONS) as [Operation, string][]).map(([operation, path]) => {
  const method = methodOf(path);
  const pattern = method.flatPath.replaceAll(/\{\w+\}/g, '([^/:]+)');
  return { operation, method, path: new RegExp(`^/${pattern}$`) };
});

export interface Route {
  readonly operation: Operation;
  readonly method: Method;
  /** The names in the path, in order: project, location, and what follows. */
  readonly names: readonly string[];
}

export const routeOf = (httpMethod: string, pathname: string): Route | undefined => {
  for (const { operation, method, path } of routes) {
    const match = method.httpMethod === httpMethod ? path.exec(pathname) : null;
    if (match) return { operation, method, names: match.slice(1).map(decodeURIComponent) };
  }
  return undefined;
};

/** Parameters that every method of Google's APIs has; the JSON's form is one. */
const OF_ALL: readonly string[] = ['$alt', '$prettyPrint'];

export const queryFault = ({ method }: Route, query: URLSearchParams): string | undefined => {
  for (const name of query.keys()) {
    if (OF_ALL.includes(name) || method.parameters[name]?.location === 'query') continue;
    return `Invalid JSON payload received. Unknown name "${name}": Cannot bind query parameter. Field '${name}' could not be found in request message.`;
  }
  return undefined;
};

/** A fault of a body, in the service's words. */
export class BodyFault extends Error {}

/**
 * A body by its schema, with enums by name. Numbers of enums are what the client sends.
 * @throws BodyFault
 */
export const readBody = (schema: string, value: unknown): unknown => convert({ $ref: schema }, value, '', nameOfEnum);

/**
 * An answer by its schema, with enums as the caller asked for them.
 * @throws BodyFault for a fault of this server
 */
export const writeBody = (schema: string, value: unknown, enums: 'names' | 'numbers'): unknown =>
  convert({ $ref: schema }, value, '', enums === 'numbers' ? numberOfEnum : nameOfEnum);

type EnumForm = (names: readonly string[], value: unknown) => unknown;

const convert = (schema: Schema, value: unknown, path: string, form: EnumForm): unknown => {
  const at = path === '' ? '' : ` at '${path}'`;
  if (schema.$ref !== undefined) return convert(document.schemas[schema.$ref] ?? {}, value, path, form);
  if (schema.enum) {
    const converted = form(schema.enum, value);
    if (converted === undefined) throw new BodyFault(`Invalid value${at}, ${JSON.stringify(value)}`);
    return converted;
  }
  if (schema.type === 'array') {
    if (!Array.isArray(value)) throw new BodyFault(`Invalid value${at}: an array is expected.`);
    return value.map((item, index) => convert(schema.items ?? {}, item, `${path}[${index}]`, form));
  }
  if (schema.type === 'object') return convertObject(schema, value, path, form);
  if (!isScalar(schema, value)) {
    throw new BodyFault(`Invalid value${at} (${schema.format ?? schema.type}), ${JSON.stringify(value)}`);
  }
  return value;
};

const convertObject = (schema: Schema, value: unknown, path: string, form: EnumForm): unknown => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new BodyFault(`Invalid value at '${path}': an object is expected.`);
  }
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => {
      const of = schema.properties?.[name] ?? schema.additionalProperties;
      const here = path === '' ? name : `${path}.${name}`;
      if (!of)
        throw new BodyFault(`Invalid JSON payload received. Unknown name "${name}" at '${path}': Cannot find field.`);
      // Also of google.protobuf.Any, which says by itself what it holds.
      return [name, of.type === 'any' ? member : convert(of, member, here, form)];
    }),
  );
};

const isScalar = ({ type, format }: Schema, value: unknown): boolean => {
  if (type === 'boolean') return typeof value === 'boolean';
  if (type === 'integer') return Number.isInteger(value);
  if (type !== 'string' || typeof value !== 'string') return type === undefined;
  if (format === 'google-duration') return /^\d+(\.\d{1,9})?s$/.test(value);
  if (format === 'google-datetime') return !Number.isNaN(Date.parse(value));
  return format !== 'int64' || /^-?\d+$/.test(value);
};

/** All enums of the client's protos. */
const protoEnums: Readonly<Record<string, number>>[] = [];
const gather = (node: { nested?: object; values?: Record<string, number> }): void => {
  if (node.values) protoEnums.push(node.values);
  for (const child of Object.values(node.nested ?? {})) gather(child as typeof node);
};
gather(createRequire(import.meta.url)('@google-cloud/run/build/protos/protos.json') as object);

/** The document may know more names than the client's protos, never other numbers. */
const protoEnumOf = (names: readonly string[]): Readonly<Record<string, number>> =>
  protoEnums.find((values) => Object.keys(values).every((name) => names.includes(name))) ?? {};

const nameOfEnum: EnumForm = (names, value) => {
  if (typeof value === 'string') return names.includes(value) ? value : undefined;
  return Object.entries(protoEnumOf(names)).find(([, number]) => number === value)?.[0];
};

const numberOfEnum: EnumForm = (names, value) => protoEnumOf(names)[String(nameOfEnum(names, value))];
