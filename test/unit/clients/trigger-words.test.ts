import { expect, test } from 'vitest';
import { conditionText, toCondition } from '../../../clients/cli/trigger-words.ts';

test.for<[text: string, condition: object]>([
  ['body.ref=refs/heads/main', { on: 'body.ref', equals: 'refs/heads/main' }],
  ['body.n=5', { on: 'body.n', equals: 5 }],
  ['body.n="5"', { on: 'body.n', equals: '5' }],
  ['body.on=true', { on: 'body.on', equals: true }],
  ['body.x=null', { on: 'body.x', equals: null }],
  ['body.x=', { on: 'body.x', equals: '' }],
  ['body.x=[1]', { on: 'body.x', equals: '[1]' }],
  ['body.x=a=b~c', { on: 'body.x', equals: 'a=b~c' }],
  ['body.ref~refs/tags/*', { on: 'body.ref', glob: ['refs/tags/*'] }],
  ['body.draft', { on: 'body.draft', exists: true }],
  ['!body.draft', { on: 'body.draft', exists: true, not: true }],
  ['!body.ref~refs/tags/*', { on: 'body.ref', glob: ['refs/tags/*'], not: true }],
  ['body["a=b"]=c', { on: 'body["a=b"]', equals: 'c' }],
  ['{"on":"body.n","in":[1,2]}', { on: 'body.n', in: [1, 2] }],
])('%s is a condition', ([text, condition]) => {
  expect(toCondition(text)).toEqual(condition);
});

test.for(['', '=a', '!', '{"on"'])('%s is none', (text) => {
  expect(() => toCondition(text)).toThrow(/--when/);
});

test('a condition is written as it is given', () => {
  const texts = ['body.ref=main', 'body.n=5', 'body.ref~a*', '!body.draft', 'body.x'];
  expect(texts.map((text) => conditionText(toCondition(text)))).toEqual(texts);
});
