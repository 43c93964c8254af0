import fc from 'fast-check';
import { expect, test } from 'vitest';
import { oddNameIn } from '../../../shared/domain/json.ts';

test.for<[string, readonly (string | number)[] | undefined]>([
  ['{}', undefined],
  ['7', undefined],
  ['"a"', undefined],
  ['{"a":1,"b":1}', undefined],
  ['{"a":"a","b":"a"}', undefined],
  ['{"a":{"a":1},"b":{"a":1}}', undefined],
  ['[{"a":1},{"a":1}]', undefined],
  ['{"a":["b","b"]}', undefined],
  ['{"a":"\\"b\\":1","b":1}', undefined],
  ['{"a":1,"A":1}', undefined],
  ['{"a":1,"a":1}', ['a']],
  ['{"a" : 1 , "b":[], "a":{}}', ['a']],
  ['{"a":1,"\\u0061":1}', ['a']],
  ['{"":1,"":1}', ['']],
  ['{"a":{"__proto__":1}}', ['a', '__proto__']],
  ['{"\\u005f_proto__":1}', ['__proto__']],
  ['{"constructor":1,"toString":2}', undefined],
  ['{"x":[1,{"y":{"a":1,"a":2}}]}', ['x', 1, 'y', 'a']],
  ['[[],[{"a":[{}],"a":1}]]', [1, 0, 'a']],
])('%s: %j', ([json, path]) => {
  JSON.parse(json);
  expect(oddNameIn(json)?.path).toEqual(path);
});

const isPlain = (value: unknown): boolean => !JSON.stringify(value).includes('__proto__');
const plain = fc.jsonValue().filter(isPlain);

test('nothing that was made from a value repeats a name, however it is written', () => {
  fc.assert(
    fc.property(plain, fc.constantFrom(0, 1, '\t'), (value, space) => {
      expect(oddNameIn(JSON.stringify(value, undefined, space))).toBeUndefined();
    }),
  );
});

test('a name that is put in again is found, wherever', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), plain, { minKeys: 1 }).filter(isPlain), plain, (value, other) => {
      const [name = ''] = Object.keys(value);
      const json = JSON.stringify({ around: [value] });
      const twice = json.replace('[{', () => `[{${JSON.stringify(name)}:${JSON.stringify(other)},`);
      expect(oddNameIn(twice)).toMatchObject({ path: ['around', 0, name] });
    }),
  );
});

test('a text of any depth is read', () => {
  expect(oddNameIn('['.repeat(100_000) + ']'.repeat(100_000))).toBeUndefined();
  expect(oddNameIn(`${'{"a":'.repeat(50_000)}{"b":1,"b":1}${'}'.repeat(50_000)}`)?.path).toHaveLength(50_001);
});
