import { expect, test } from 'vitest';
import { toExit } from '../../../../shared/providers/docker/exits.ts';

const TINI = '[FATAL tini (7)] exec tool failed: No such file or directory\n';
const DENIED = '[FATAL tini (12)] exec /etc/passwd failed: Permission denied\n';
const CATATONIT = 'ERROR (catatonit:6): failed to exec pid1: No such file or directory\n';

test.for<[string, number, object, object]>([
  ['a plain status', 7, {}, { exitCode: 7, signal: null }],
  ['a status of a signal', 143, {}, { exitCode: null, signal: 'SIGTERM' }],
  ['a status beyond all signals', 255, {}, { exitCode: 255, signal: null }],
  ['128 itself', 128, {}, { exitCode: 128, signal: null }],
  ['a program that is not there', 127, { stderr: TINI }, { exitCode: 127, detail: /^tool was not found/ }],
  ['the same on Podman, by another status', 1, { stderr: CATATONIT }, { exitCode: 127, detail: /^tool was not found/ }],
  ['one that cannot be executed', 126, { stderr: DENIED }, { exitCode: 126, detail: /Permission denied/ }],
  ['a 127 of the command itself', 127, { stderr: 'sh: x: not found\n' }, { exitCode: 127, detail: undefined }],
  ['the same words after others', 127, { stderr: `hello\n${TINI}` }, { exitCode: 127, detail: undefined }],
  ['the same words before a success', 0, { stderr: TINI }, { exitCode: 0, detail: undefined }],
  ['too many words to be kept', 127, { stderr: undefined }, { exitCode: 127, detail: undefined }],
  ['the kernel’s killer', 137, { isOutOfMemory: true }, { signal: 'SIGKILL', outOfMemory: true, detail: /64 MiB/ }],
  ['somebody’s KILL', 137, {}, { signal: 'SIGKILL', outOfMemory: undefined, detail: /perhaps for want of memory/ }],
  ['our own KILL', 137, { wasKilled: true }, { signal: 'SIGKILL', outOfMemory: undefined, detail: undefined }],
])('%s', ([, statusCode, over, { detail, ...expected }]: [string, number, object, { detail?: RegExp }]) => {
  const ended = { statusCode, program: 'tool', stderr: '', isOutOfMemory: false, wasKilled: false, memoryMiB: 64 };
  const exit = toExit({ ...ended, ...over });
  expect({ outOfMemory: undefined, ...exit }).toMatchObject(expected);
  if (detail) expect(exit.detail).toMatch(detail);
  else expect(exit.detail).toBeUndefined();
});
