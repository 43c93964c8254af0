import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Endpoint } from '../../../shared/contract/endpoint.ts';
import { endpoints, matchEndpoint } from '../../../shared/contract/endpoints.ts';
import { openapi } from '../../../shared/contract/openapi.ts';

// biome-ignore lint/suspicious/noExplicitAny: a document of that shape is what is looked at
const document = openapi() as any;

describe('OpenAPI', () => {
  test('has every endpoint of the table but those of the runners, which are no public contract', () => {
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods as Record<string, { operationId: string }>).map(([method, { operationId }]) => [
        operationId,
        method.toUpperCase(),
        path,
      ]),
    );
    const wanted = Object.entries<Endpoint>(endpoints)
      .filter(([, { access }]) => access !== 'runner')
      .map(([name, { method, path }]) => [name, method, path]);
    expect(described.toSorted()).toEqual(wanted.toSorted());
  });

  test('names only components that it has', () => {
    const references = JSON.stringify(document).match(/"\$ref":"[^"]+"/g) ?? [];
    expect(references.length).toBeGreaterThan(10);
    for (const reference of references) {
      const name = /^"\$ref":"#\/components\/schemas\/(\w+)"$/.exec(reference)?.[1];
      expect(document.components.schemas).toHaveProperty(name ?? reference);
    }
  });

  test('describes each path parameter that a path has', () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const operation of Object.values(
        methods as Record<string, { parameters?: { in: string; name: string }[] }>,
      )) {
        const names = (operation.parameters ?? [])
          .filter((parameter) => parameter.in === 'path')
          .map(({ name }) => `{${name}}`);
        expect(names).toEqual(path.match(/\{\w+\}/g) ?? []);
      }
    }
  });

  test('refuses unknown fields of a submission, as the server does', () => {
    expect(document.components.schemas.SubmitCommand.additionalProperties).toBe(false);
  });
});

describe('the endpoint table', () => {
  test('and the files under functions/http name each other', () => {
    const files = readdirSync(new URL('../../../functions/http', import.meta.url)).map((name) =>
      name.replace('.ts', ''),
    );
    expect([...new Set(Object.values<Endpoint>(endpoints).map((endpoint) => endpoint.function))].toSorted()).toEqual(
      files.toSorted(),
    );
  });

  test.for([
    ['GET', '/v1/commands', { kind: 'endpoint', name: 'listCommands', params: {} }],
    ['GET', '/v1/commands/a%2Fb', { kind: 'endpoint', name: 'getCommand', params: { id: 'a/b' } }],
    ['GET', '/v1/commands/%zz', { kind: 'endpoint', name: 'getCommand', params: { id: '%zz' } }],
    ['DELETE', '/v1/commands/x/stdin', { kind: 'endpoint', name: 'endStdin', params: { id: 'x' } }],
    ['DELETE', '/v1/commands', { kind: 'wrong-method', allow: ['POST', 'GET'] }],
    ['GET', '/v1/commands/', { kind: 'endpoint', name: 'getCommand', params: { id: '' } }],
    ['GET', '/v1', { kind: 'unknown-path' }],
    ['GET', '/', { kind: 'unknown-path' }],
    ['GET', '', { kind: 'unknown-path' }],
    ['GET', '/v1/commands/{id}/cancel', { kind: 'wrong-method', allow: ['POST'] }],
  ] as const)('%s %s', ([method, path, expected]) => {
    expect(matchEndpoint(method, path)).toEqual(expected);
  });
});
