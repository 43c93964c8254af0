import { readFileSync } from 'node:fs';

interface Schema {
  readonly type?: string;
  readonly $ref?: string;
  readonly enum?: readonly string[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
}

const { schemas } = JSON.parse(
  readFileSync(new URL('./fixtures/run.v2.discovery.jobs-subset.json', import.meta.url), 'utf8'),
) as { schemas: Readonly<Record<string, Schema>> };

const TYPES: Readonly<Record<string, (value: unknown) => boolean>> = {
  string: (value) => typeof value === 'string',
  boolean: (value) => typeof value === 'boolean',
  integer: (value) => Number.isInteger(value),
  number: (value) => typeof value === 'number',
  any: () => true,
};

/** What is wrong with a value, by Google's own description of the API; undefined when nothing is. */
export const faultIn = (value: unknown, schema: string | Schema, path = ''): string | undefined => {
  const own = typeof schema === 'string' ? schemas[schema] : schema.$ref ? schemas[schema.$ref] : schema;
  if (!own) return `${path}: there is no schema ${JSON.stringify(schema)}`;
  if (own.type === 'array') {
    if (!Array.isArray(value)) return `${path} must be a list`;
    return firstFault(value.map((item, i) => faultIn(item, own.items ?? { type: 'any' }, `${path}[${i}]`)));
  }
  if (own.type === 'object') {
    if (typeof value !== 'object' || value === null) return `${path} must be an object`;
    const faults = Object.entries(value).map(([name, item]) => {
      const property = own.properties?.[name] ?? own.additionalProperties;
      return property ? faultIn(item, property, `${path}.${name}`) : `Unknown name "${name}" at '${path}'`;
    });
    return firstFault(faults);
  }
  // Numbers of an enum are as good as its names (`$alt=json;enum-encoding=int`).
  if (own.enum) return typeof value === 'number' || own.enum.includes(String(value)) ? undefined : `${path}: ${value}`;
  return TYPES[own.type ?? 'any']?.(value) ? undefined : `${path} must be ${own.type}`;
};

const firstFault = (faults: readonly (string | undefined)[]): string | undefined =>
  faults.find((fault) => fault !== undefined);
