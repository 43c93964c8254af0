import fc from 'fast-check';

/** A JSON Schema as OpenAPI 3.1 has it, with the keywords that our document uses. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly pattern?: string;
  readonly format?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | boolean;
  readonly propertyNames?: Schema;
}

/** What no schema asks for, and callers send all the same. */
const hostile: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    -1,
    0,
    1.5,
    2 ** 53,
    -(2 ** 63),
    1e308,
    '',
    ' ',
    '\0',
    '\ud800',
    '../../etc/passwd',
    '__proto__',
    'null',
    '%00',
    'cmd_00000000000000000000000000',
    '2026-02-30T25:61:61Z',
    '💥'.repeat(300),
    [],
    {},
    [[[[[[[[]]]]]]]],
    { constructor: { prototype: {} } },
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.jsonValue({ maxDepth: 3 }),
);

/** Values of a schema, each part of which is now and then replaced by something else. `most` is the most that an integer is. */
export const fromSchema = (
  schema: Schema,
  components: Readonly<Record<string, Schema>>,
  most = Number.POSITIVE_INFINITY,
): fc.Arbitrary<unknown> => {
  const valid = (part: Schema, depth: number): fc.Arbitrary<unknown> => {
    if (part.$ref !== undefined) return any(components[part.$ref.split('/').at(-1) as string] ?? {}, depth);
    if ('const' in part) return fc.constant(part.const);
    if (part.enum) return fc.constantFrom(...part.enum);
    if (part.anyOf) return fc.oneof(...part.anyOf.map((one) => any(one, depth)));
    switch (part.type) {
      case 'string':
        return text(part);
      case 'integer':
        return fc.integer({
          min: Math.max(part.minimum ?? -10, -(2 ** 31)),
          max: Math.min(part.maximum ?? 2_000, 2 ** 31 - 1, most),
        });
      case 'number':
        return fc.double({ min: part.minimum ?? -10, max: part.maximum ?? 2_000, noNaN: true });
      case 'boolean':
        return fc.boolean();
      case 'null':
        return fc.constant(null);
      case 'array': {
        const minLength = part.minItems ?? 0;
        const maxLength = depth > 4 ? minLength : Math.min(part.maxItems ?? 4, Math.max(4, minLength));
        return fc.array(any(part.items ?? {}, depth + 1), { minLength, maxLength });
      }
      case 'object':
        return object(part, depth);
      default:
        return hostile;
    }
  };

  const object = (part: Schema, depth: number): fc.Arbitrary<unknown> => {
    const properties = Object.entries(part.properties ?? {});
    const required = new Set(part.required);
    const optional = properties.flatMap(([name]) => (required.has(name) ? [] : [name]));
    // Few at a time: of many fields two would hardly ever go together.
    const known = fc.subarray(optional, { maxLength: Math.min(3, optional.length) }).chain((chosen) => {
      const given = properties.filter(([name]) => required.has(name) || chosen.includes(name));
      return fc.record(Object.fromEntries(given.map(([name, one]) => [name, any(one, depth + 1)])));
    });
    const { additionalProperties: more } = part;
    if (typeof more !== 'object' || depth > 4) return known;
    const names = part.propertyNames ? text(part.propertyNames) : fc.string({ maxLength: 12 });
    const others = fc.dictionary(names, any(more, depth + 1), { maxKeys: 3 });
    return fc.tuple(known, others).map(([own, other]) => ({ ...(own as object), ...other }));
  };

  const any = (part: Schema, depth: number): fc.Arbitrary<unknown> =>
    fc.oneof({ weight: 40, arbitrary: valid(part, depth) }, { weight: 1, arbitrary: hostile });

  return any(schema, 0);
};

const text = ({ pattern, format, minLength = 0, maxLength = 40 }: Schema): fc.Arbitrary<string> => {
  if (format === 'date-time')
    return fc
      .date({ noInvalidDate: true, min: new Date(0), max: new Date('2100-01-01') })
      .map((date) => date.toISOString());
  if (format === 'base64')
    return fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes).toString('base64'));
  if (pattern !== undefined && !pattern.includes('\\P')) return fc.stringMatching(new RegExp(pattern));
  return fc.string({ minLength, maxLength: Math.max(minLength, Math.min(maxLength, 40)) });
};
