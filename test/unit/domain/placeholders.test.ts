import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Delivered,
  hasPlaceholder,
  isMistake,
  looksLikeTemplate,
  lookUp,
  parseReference,
  parseTemplate,
  type Reference,
  renderTemplate,
} from '../../../shared/domain/placeholders.ts';

const delivered = (over: Partial<Delivered> = {}): Delivered => ({
  body: {
    ref: 'refs/heads/main',
    number: 7,
    draft: false,
    nothing: null,
    empty: '',
    labels: [{ name: 'bug' }, { name: 'ui' }],
    'odd key': { 'a.b': 'deep' },
    0: 'a name of digits',
  },
  headers: { 'x-github-event': 'push' },
  event: 'push',
  delivery: 'a-delivery',
  raw: Buffer.from('{"raw": true}'),
  ...over,
});

const render = (template: string, over: Partial<Delivered> = {}): string => {
  const parts = parseTemplate(template);
  if (isMistake(parts)) return `mistake: ${parts.mistake}`;
  const rendered = renderTemplate(parts, delivered(over));
  return 'text' in rendered ? rendered.text : `missing: ${rendered.missing.text}`;
};

describe('a template', () => {
  test.for<[template: string, text: string]>([
    ['plain', 'plain'],
    ['', ''],
    ['{{ body.ref }}', 'refs/heads/main'],
    ['{{body.ref}}', 'refs/heads/main'],
    ['on {{ body.ref }} by {{ delivery }}', 'on refs/heads/main by a-delivery'],
    ['{{ body.ref }}{{ body.number }}', 'refs/heads/main7'],
    ['{{ body.number }}', '7'],
    ['{{ body.draft }}', 'false'],
    ['{{ body.empty }}', ''],
    ['{{ body.labels }}', '[{"name":"bug"},{"name":"ui"}]'],
    ['{{ body.labels[1].name }}', 'ui'],
    ['{{ body["odd key"]["a.b"] }}', 'deep'],
    ['{{ body["\\u0072ef"] }}', 'refs/heads/main'],
    ['{{ body[0] }}', 'a name of digits'],
    ['{{ headers["X-GitHub-Event"] }}', 'push'],
    ['{{ event }}', 'push'],
    ['{{ raw }}', '{"raw": true}'],
    ['{{ body.nowhere ?? "none" }}', 'none'],
    ['{{ body.nothing ?? "none" }}', 'none'],
    ['{{ body.empty ?? "none" }}', ''],
    ['{{ "{{" }} and }}', '{{ and }}'],
    ['a { b } }} c', 'a { b } }} c'],
  ])('%s is %s', ([template, text]) => {
    expect(render(template)).toBe(text);
  });

  test.for<[template: string, missing: string]>([
    ['{{ body.nowhere }}', 'body.nowhere'],
    ['{{ body.nothing }}', 'body.nothing'],
    ['{{ body.ref.more }}', 'body.ref.more'],
    ['{{ body.labels.length }}', 'body.labels.length'],
    ['{{ body.labels[2].name }}', 'body.labels[2].name'],
    ['{{ body.constructor.name }}', 'body.constructor.name'],
    ['{{ body.__proto__ }}', 'body.__proto__'],
    ['{{ headers["x-none"] }}', 'headers["x-none"]'],
  ])('%s is missing', ([template, missing]) => {
    expect(render(template)).toBe(`missing: ${missing}`);
  });

  test('what a body has not is missing, whatever the body is', () => {
    for (const body of [undefined, null, 'text', 5, [], true])
      expect(render('{{ body.a }}', { body })).toMatch(/^missing/);
    expect(render('{{ body.length }}', { body: 'text' })).toMatch(/^missing/);
    expect(render('{{ raw }}', { raw: Buffer.from([0xff]) })).toBe('missing: raw');
  });

  test.for<[template: string, mistake: RegExp]>([
    ['{{ }}', /must name one of body, headers/],
    ['{{ bdy.ref }}', /must name one of/],
    ['{{ .State }}', /must name one of/],
    ['{{ bodyguard }}', /must name one of/],
    ['{{ body.ref', /must end with }}/],
    ['{{ body.ref | upper }}', /must end with }}/],
    ['{{ body..ref }}', /must end with }}/],
    ['{{ body.a ?? none }}', /no JSON text behind its \?\?/],
    ['{{ body.a ?? 5 }}', /no JSON text/],
    ['{{ "open }}', /must name one of/],
    ['{{ "\\q" }}', /holds no JSON text/],
    ['{{ event.name }}', /event has no fields/],
    ['{{ headers }}', /must name one header/],
    ['{{ headers.authorization }}', /no header that can be named/],
    ['{{ headers["x-hub-signature-256"] }}', /no header that can be named/],
    ['{{ headers["x-gitlab-token"] }}', /no header that can be named/],
    ['{{ headers.cookie }}', /no header that can be named/],
    ['{{ headers["x-forwarded-for"] }}', /no header that can be named/],
    [`{{ body${'.a'.repeat(21)} }}`, /more than 20 steps/],
  ])('%s is none', ([template, mistake]) => {
    expect(render(template)).toMatch(/^mistake: /);
    expect(render(template)).toMatch(mistake);
  });

  test('what a value says is not looked at again', () => {
    expect(render('{{ body.a }}', { body: { a: '{{ body.b }}', b: 'twice' } })).toBe('{{ body.b }}');
  });

  test('any text without two braces is itself, and any value comes out as it is', () => {
    fc.assert(fc.property(fc.string(), (text) => text.includes('{{') || render(text) === text));
    fc.assert(fc.property(fc.string(), (text) => render('<{{ body.a }}>', { body: { a: text } }) === `<${text}>`));
  });

  test('any text is parsed in time, or refused', () => {
    const pieces = fc.constantFrom('{{', '}}', 'body', '.a', '["', '"]', '\\', ' ', '??', '"', '[0]', 'raw');
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 300 }), (all) => {
        const parts = parseTemplate(all.join(''));
        return isMistake(parts) || Array.isArray(parts);
      }),
    );
  });
});

test('a template has placeholders when anything of it would be replaced', () => {
  expect(['{{ body.a }}', 'a {{ raw }}', '{{ broken'].map(hasPlaceholder)).toEqual([true, true, true]);
  expect(['a', '{{ "{{" }}', ''].map(hasPlaceholder)).toEqual([false, false, false]);
});

test('what looks like a template elsewhere is told from what only has braces', () => {
  expect(['{{body.a}}', 'x {{  headers["x"] }}', '{{ raw'].map(looksLikeTemplate)).toEqual([true, true, true]);
  expect(["docker inspect -f '{{.State}}'", '{{ jinja }}', 'body'].map(looksLikeTemplate)).toEqual([
    false,
    false,
    false,
  ]);
});

test('a reference stands by itself', () => {
  expect(lookUp(parseReference('body.labels[0]["name"]') as Reference, delivered())).toBe('bug');
  for (const text of ['', ' body', 'body.a ', 'body.a=1', '{{ body.a }}', 'nobody']) {
    expect([text, isMistake(parseReference(text))]).toEqual([text, true]);
  }
});
