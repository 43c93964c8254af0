import { describe, expect, test } from 'vitest';
import type { TargetList } from '../../shared/contract/schemas.ts';
import { openErrand, problemOf } from '../support/errand.ts';

const ID = 'cmd_00000000000000000000000001';
const json = { 'content-type': 'application/json' };
const deep = (depth: number) => `{"argv":${'['.repeat(depth)}${']'.repeat(depth)}}`;

test.for(['memoryMiB', 'cpu'])('%s is taken where it can be limited, and refused by name elsewhere', async (limit) => {
  const errand = await openErrand();
  const { items } = (await (await errand.request('GET', '/v1/providers')).json()) as TargetList;
  const body = JSON.stringify({ argv: ['true'], [limit]: 64 });
  const response = await errand.request('POST', '/v1/commands', body, json);
  const told = (await response.json()) as { code?: string; errors?: { pointer: string }[] };
  expect([response.status, told.code, told.errors?.[0]?.pointer]).toEqual(
    items[0]?.features.resourceLimits ? [202, undefined, undefined] : [422, 'unsupported-by-target', `/${limit}`],
  );
});

describe('a submission that is not valid is a problem with a pointer to its fault, and nothing is stored', () => {
  test.for<[string, string, number, string, string]>([
    ['not JSON', '{"argv": [', 400, 'invalid-request', ''],
    ['empty', '', 400, 'invalid-request', ''],
    ['not UTF-8', 'latin1', 400, 'invalid-request', ''],
    ['a list', '[]', 400, 'invalid-request', ''],
    ['null', 'null', 400, 'invalid-request', ''],
    ['a number', '7', 400, 'invalid-request', ''],
    ['neither argv nor script', '{}', 400, 'invalid-request', '/argv'],
    ['both argv and script', '{"argv":["a"],"script":"b"}', 400, 'invalid-request', '/argv'],
    ['an empty argv', '{"argv":[]}', 400, 'invalid-request', '/argv'],
    ['an empty program', '{"argv":["","a"]}', 400, 'invalid-request', '/argv/0'],
    ['argv as text', '{"argv":"ls -l"}', 400, 'invalid-request', '/argv'],
    ['a number in argv', '{"argv":["a",1]}', 400, 'invalid-request', '/argv/1'],
    ['NUL in an argument', '{"argv":["a","b\\u0000c"]}', 400, 'invalid-request', '/argv/1'],
    ['half a surrogate pair', '{"argv":["a","\\ud800"]}', 400, 'invalid-request', '/argv/1'],
    [
      'an argument too long for execve',
      JSON.stringify({ argv: ['a', 'x'.repeat(130_049)] }),
      400,
      'invalid-request',
      '/argv/1',
    ],
    ['too many arguments', JSON.stringify({ argv: Array(1_025).fill('a') }), 400, 'invalid-request', '/argv'],
    ['100,000 arguments', `{"argv":[${Array(100_000).fill('""').join()}]}`, 413, 'too-large', ''],
    ['NUL in a script', '{"script":"a\\u0000b"}', 400, 'invalid-request', '/script'],
    ['half a surrogate pair in a script', '{"script":"\\udc00"}', 400, 'invalid-request', '/script'],
    ['NUL in a shell', '{"script":"a","shell":"/bin/sh\\u0000"}', 400, 'invalid-request', '/shell'],
    ['half a surrogate pair in a variable', '{"argv":["a"],"env":{"A":"\\ud800"}}', 400, 'invalid-request', '/env/A'],
    ['a variable whose name is not ASCII', '{"argv":["a"],"env":{"Ä":"x"}}', 400, 'invalid-request', '/env/Ä'],
    ['a variable without a name', '{"argv":["a"],"env":{"":"x"}}', 400, 'invalid-request', '/env/'],
    [
      'a variable of ours that could be',
      '{"argv":["a"],"env":{"ERRAND_RUNNER_URL":"x"}}',
      400,
      'invalid-request',
      '/env/ERRAND_RUNNER_URL',
    ],
    ['NUL in a folder', '{"argv":["a"],"cwd":"/tmp\\u0000/x"}', 400, 'invalid-request', '/cwd'],
    ['half a surrogate pair in a folder', '{"argv":["a"],"cwd":"/\\ud800"}', 400, 'invalid-request', '/cwd'],
    [
      'a folder too long',
      JSON.stringify({ argv: ['a'], cwd: `/${'x'.repeat(4_095)}` }),
      400,
      'invalid-request',
      '/cwd',
    ],
    ['a folder of another system', '{"argv":["a"],"cwd":"C:\\\\Windows"}', 400, 'invalid-request', '/cwd'],
    ['a folder above', '{"argv":["a"],"cwd":"../../etc"}', 400, 'invalid-request', '/cwd'],
    ['a variable twice', '{"argv":["a"],"env":{"A":"1","\\u0041":"2"}}', 400, 'invalid-request', '/env/A'],
    ['argv twice', '{"argv":["a"],"argv":["b"]}', 400, 'invalid-request', '/argv'],
    ['an empty script', '{"script":""}', 400, 'invalid-request', '/script'],
    ['a shell that is no path', '{"script":"a","shell":"sh"}', 400, 'invalid-request', '/shell'],
    ['an unknown field', '{"argv":["a"],"arguments":[]}', 400, 'invalid-request', '/arguments'],
    ['__proto__', '{"argv":["a"],"__proto__":{"x":1}}', 400, 'invalid-request', '/__proto__'],
    ['a field that a pointer must escape', '{"argv":["a"],"a/b~c":1}', 400, 'invalid-request', '/a~1b~0c'],
    ['NUL in a variable name', '{"argv":["a"],"env":{"A\\u0000B":"x"}}', 400, 'invalid-request', '/env/A\u0000B'],
    ['= in a variable name', '{"argv":["a"],"env":{"A=B":"x"}}', 400, 'invalid-request', '/env/A=B'],
    [
      'a variable of ours',
      '{"argv":["a"],"env":{"ERRAND_ATTEMPT":"x"}}',
      400,
      'invalid-request',
      '/env/ERRAND_ATTEMPT',
    ],
    ['NUL in a variable', '{"argv":["a"],"env":{"A":"x\\u0000"}}', 400, 'invalid-request', '/env/A'],
    ['a number as a variable', '{"argv":["a"],"env":{"A":1}}', 400, 'invalid-request', '/env/A'],
    [
      'too many variables',
      JSON.stringify({ argv: ['a'], env: Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`A${i}`, ''])) }),
      400,
      'invalid-request',
      '/env',
    ],
    ['a relative folder', '{"argv":["a"],"cwd":"work"}', 400, 'invalid-request', '/cwd'],
    ['stdin twice', '{"argv":["a"],"stdin":"a","stdinBase64":"YQ=="}', 400, 'invalid-request', '/stdinBase64'],
    ['stdin that is not base64', '{"argv":["a"],"stdinBase64":"?"}', 400, 'invalid-request', '/stdinBase64'],
    ['a negative time-out', '{"argv":["a"],"timeoutSeconds":-1}', 400, 'invalid-request', '/timeoutSeconds'],
    ['no time at all', '{"argv":["a"],"timeoutSeconds":0}', 400, 'invalid-request', '/timeoutSeconds'],
    ['half a second', '{"argv":["a"],"timeoutSeconds":0.5}', 400, 'invalid-request', '/timeoutSeconds'],
    ['a time-out of ages', '{"argv":["a"],"timeoutSeconds":99999999999}', 400, 'invalid-request', '/timeoutSeconds'],
    ['an infinite time-out', '{"argv":["a"],"timeoutSeconds":1e400}', 400, 'invalid-request', '/timeoutSeconds'],
    ['a time-out as text', '{"argv":["a"],"timeoutSeconds":"60"}', 400, 'invalid-request', '/timeoutSeconds'],
    ['a negative queue TTL', '{"argv":["a"],"queueTtlSeconds":-5}', 400, 'invalid-request', '/queueTtlSeconds'],
    ['an unknown priority', '{"argv":["a"],"priority":"urgent"}', 400, 'invalid-request', '/priority'],
    ['an unknown isolation', '{"argv":["a"],"isolation":"vm"}', 400, 'invalid-request', '/isolation'],
    [
      'a label with a control character',
      '{"argv":["a"],"labels":{"a":"\\u001b[2J"}}',
      400,
      'invalid-request',
      '/labels/a',
    ],
    ['a label with a line end', '{"argv":["a"],"labels":{"a":"x\\ny"}}', 400, 'invalid-request', '/labels/a'],
    ['a label that turns text around', '{"argv":["a"],"labels":{"a":"\\u202e"}}', 400, 'invalid-request', '/labels/a'],
    ['a label with half a pair', '{"argv":["a"],"labels":{"a":"\\ud800"}}', 400, 'invalid-request', '/labels/a'],
    ['a label’s name with a line end', '{"argv":["a"],"labels":{"a\\nb":"x"}}', 400, 'invalid-request', '/labels/a\nb'],
    ['an infinite processor', '{"argv":["a"],"cpu":1e400}', 400, 'invalid-request', '/cpu'],
    ['infinite memory', '{"argv":["a"],"memoryMiB":1e400}', 400, 'invalid-request', '/memoryMiB'],
    ['half a byte of memory', '{"argv":["a"],"memoryMiB":-1.5}', 400, 'invalid-request', '/memoryMiB'],
    ['a target with a path in it', '{"argv":["a"],"target":"../local"}', 400, 'invalid-request', '/target'],
    ['no attempts', '{"argv":["a"],"retry":{"maxAttempts":0}}', 400, 'invalid-request', '/retry/maxAttempts'],
    [
      'an unknown retry cause',
      '{"argv":["a"],"retry":{"maxAttempts":2,"on":["timeout"]}}',
      400,
      'invalid-request',
      '/retry/on/0',
    ],
    ['deep JSON', deep(100_000), 400, 'invalid-request', '/argv/0'],
    ['an unknown target', '{"argv":["a"],"target":"mars"}', 400, 'invalid-request', '/target'],
    ['an image where none runs', '{"argv":["a"],"image":"alpine"}', 422, 'unsupported-by-target', '/image'],
    ['walls that are not there', '{"argv":["a"],"isolation":"microvm"}', 422, 'isolation-unavailable', '/isolation'],
  ])('%s', async ([name, text, status, code, pointer]) => {
    const errand = await openErrand();
    const body = name === 'not UTF-8' ? Buffer.from('{"argv":["\xe9"]}', 'latin1') : text;
    const response = await errand.request('POST', '/v1/commands', body, json);
    const problem = await problemOf(response);
    expect([response.status, response.headers.get('content-type'), problem.code]).toEqual([
      status,
      'application/problem+json',
      code,
    ]);
    expect(problem.errors?.map((fault) => fault.pointer)).toContain(pointer);
    expect(await (await errand.request('GET', '/v1/commands')).json()).toEqual({ items: [] });
  });

  test('several faults are told at once', async () => {
    const errand = await openErrand();
    const response = await errand.request('POST', '/v1/commands', {
      argv: [],
      timeoutSeconds: -1,
      priority: 'x',
      nope: 1,
    });
    expect((await problemOf(response)).errors?.map(({ pointer }) => pointer).toSorted()).toEqual([
      '/argv',
      '/nope',
      '/priority',
      '/timeoutSeconds',
    ]);
  });

  test('what it says never quotes the body', async () => {
    const errand = await openErrand();
    for (const body of [
      '{"argv": [hunter2',
      '{"argv":["a"],"env":{"PASSWORD":["hunter2"]}}',
      '{"argv":["a"],"stdinBase64":"hunter2!"}',
    ]) {
      expect(await (await errand.request('POST', '/v1/commands', body, json)).text()).not.toContain('hunter2');
    }
  });
});

describe('a request that is not valid is a problem', () => {
  test.for<[string, string, string, unknown, Record<string, string>, number, string, string | undefined]>([
    ['a body of 10 MB', 'POST', '/v1/commands', 'x'.repeat(10_000_000), json, 413, 'too-large', ''],
    ['a body above the limit on JSON', 'POST', '/v1/commands', 'x'.repeat(300_000), json, 413, 'too-large', ''],
    ['no content type', 'POST', '/v1/commands', Buffer.from('{}'), {}, 415, 'unsupported-media-type', '/content-type'],
    [
      'another content type',
      'POST',
      '/v1/commands',
      '{}',
      { 'content-type': 'text/plain' },
      415,
      'unsupported-media-type',
      '/content-type',
    ],
    [
      'a form',
      'POST',
      '/v1/commands',
      'a=b',
      { 'content-type': 'application/x-www-form-urlencoded' },
      415,
      'unsupported-media-type',
      '/content-type',
    ],
    ['the wrong method', 'PATCH', '/v1/commands', {}, {}, 405, 'method-not-allowed', undefined],
    ['an unknown path', 'GET', '/v1/nothing', undefined, {}, 404, 'not-found', undefined],
    ['an unknown id', 'GET', `/v1/commands/${ID}`, undefined, {}, 404, 'not-found', '/id'],
    ['an unknown id’s output', 'GET', `/v1/commands/${ID}/output`, undefined, {}, 404, 'not-found', '/id'],
    [
      'an unknown id’s live output',
      'GET',
      `/v1/commands/${ID}/output`,
      undefined,
      { accept: 'text/event-stream' },
      404,
      'not-found',
      '/id',
    ],
    ['cancel of an unknown id', 'POST', `/v1/commands/${ID}/cancel`, undefined, {}, 404, 'not-found', '/id'],
    ['signal to an unknown id', 'POST', `/v1/commands/${ID}/signal`, { signal: 'SIGHUP' }, {}, 404, 'not-found', '/id'],
    ['stdin for an unknown id', 'PUT', `/v1/commands/${ID}/stdin`, 'x', {}, 404, 'not-found', '/id'],
    ['replay of an unknown id', 'POST', `/v1/commands/${ID}/replay`, undefined, {}, 404, 'not-found', '/id'],
    ['an id that is none', 'GET', '/v1/commands/cmd_x', undefined, {}, 400, 'invalid-request', '/id'],
    ['an id with a path in it', 'GET', '/v1/commands/..%2f..%2fetc', undefined, {}, 400, 'invalid-request', '/id'],
    ['a broken escape', 'GET', '/v1/commands/%zz', undefined, {}, 400, 'invalid-request', '/id'],
    ['a very long id', 'GET', `/v1/commands/${'x'.repeat(10_000)}`, undefined, {}, 400, 'invalid-request', '/id'],
    ['an unknown query', 'GET', '/v1/commands?page=2', undefined, {}, 400, 'invalid-request', '/page'],
    ['a cursor that is none', 'GET', '/v1/commands?cursor=zzz', undefined, {}, 400, 'invalid-request', '/cursor'],
    ['an empty cursor', 'GET', '/v1/commands?cursor=', undefined, {}, 400, 'invalid-request', '/cursor'],
    ['a limit of 0', 'GET', '/v1/commands?limit=0', undefined, {}, 400, 'invalid-request', '/limit'],
    ['a limit of 101', 'GET', '/v1/commands?limit=101', undefined, {}, 400, 'invalid-request', '/limit'],
    ['a negative limit', 'GET', '/v1/commands?limit=-1', undefined, {}, 400, 'invalid-request', '/limit'],
    ['an unknown status', 'GET', '/v1/commands?status=done', undefined, {}, 400, 'invalid-request', '/status'],
    ['a label without a colon', 'GET', '/v1/commands?label=team', undefined, {}, 400, 'invalid-request', '/label'],
    ['a negative offset', 'GET', `/v1/commands/${ID}/output?from=-1`, undefined, {}, 400, 'invalid-request', '/from'],
    [
      'an unknown stream',
      'GET',
      `/v1/commands/${ID}/output?stream=stdin`,
      undefined,
      {},
      400,
      'invalid-request',
      '/stream',
    ],
    [
      'an unknown signal',
      'POST',
      `/v1/commands/${ID}/signal`,
      { signal: 'SIGNOPE' },
      {},
      400,
      'invalid-request',
      '/signal',
    ],
    [
      'a wait that is no number',
      'POST',
      '/v1/commands',
      { argv: ['true'] },
      { prefer: 'wait=soon' },
      400,
      'invalid-request',
      '/prefer',
    ],
    [
      'a negative wait',
      'POST',
      '/v1/commands',
      { argv: ['true'] },
      { prefer: 'wait=-1' },
      400,
      'invalid-request',
      '/prefer',
    ],
    [
      'an empty key',
      'POST',
      '/v1/commands',
      { argv: ['true'] },
      { 'idempotency-key': '' },
      400,
      'invalid-request',
      '/idempotency-key',
    ],
    [
      'a key too long',
      'POST',
      '/v1/commands',
      { argv: ['true'] },
      { 'idempotency-key': 'k'.repeat(256) },
      400,
      'invalid-request',
      '/idempotency-key',
    ],
  ])('%s', async ([, method, path, body, headers, status, code, pointer]) => {
    const errand = await openErrand();
    const response = await errand.request(method, path, body, headers);
    const problem = await problemOf(response);
    expect([response.status, response.headers.get('content-type'), problem.code]).toEqual([
      status,
      'application/problem+json',
      code,
    ]);
    expect(problem.status).toBe(status);
    expect(response.headers.get('x-request-id')).toBeTruthy();
    if (pointer !== undefined) expect(problem.errors?.map((fault) => fault.pointer)).toContain(pointer);
    if (status === 405) expect(response.headers.get('allow')).toBe('POST, GET');
    expect(await (await errand.request('GET', '/v1/commands')).json()).toEqual({ items: [] });
  });
});
