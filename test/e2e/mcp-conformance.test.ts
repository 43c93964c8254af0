import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { startServer } from '../support/cli.ts';
import { tempDirectory } from '../support/temp-directory.ts';

/* The official conformance suite, every scenario that it has for servers: passed, or not ours for a reason. */

const SUITE = fileURLToPath(
  new URL('../../node_modules/@modelcontextprotocol/conformance/dist/index.js', import.meta.url),
);
const run = promisify(execFile);

const APPLIES = ['server-initialize', 'ping', 'tools-list', 'dns-rebinding-protection'];

const NO_RESOURCES = 'Errand has no resources: output is read by a tool, and no link is ever made of it.';
const NO_PROMPTS = 'Errand has no prompts.';
const ITS_OWN_TOOLS = 'It calls a tool of the suite’s own reference server by name.';
const ASKS_THE_CLIENT = 'Errand asks nothing of a client: an approval is for a person, by another door.';
const WITHOUT_SESSIONS = 'It resumes a session. Errand keeps none: wait_command goes on after any break.';
const DOES_NOT_APPLY: Readonly<Record<string, string>> = {
  'logging-set-level': 'Errand logs nothing to clients; logging has been deprecated since 2026-07-28.',
  'completion-complete': 'Errand has neither prompts nor resource templates, whose arguments are completed.',
  'tools-call-simple-text': ITS_OWN_TOOLS,
  'tools-call-image': ITS_OWN_TOOLS,
  'tools-call-audio': ITS_OWN_TOOLS,
  'tools-call-embedded-resource': ITS_OWN_TOOLS,
  'tools-call-mixed-content': ITS_OWN_TOOLS,
  'tools-call-with-logging': ITS_OWN_TOOLS,
  'tools-call-error': ITS_OWN_TOOLS,
  'tools-call-with-progress': ITS_OWN_TOOLS,
  'json-schema-2020-12': ITS_OWN_TOOLS,
  'tools-call-sampling': ASKS_THE_CLIENT,
  'tools-call-elicitation': ASKS_THE_CLIENT,
  'elicitation-sep1034-defaults': ASKS_THE_CLIENT,
  'elicitation-sep1330-enums': ASKS_THE_CLIENT,
  'server-sse-polling': WITHOUT_SESSIONS,
  'server-sse-multiple-streams': WITHOUT_SESSIONS,
  'resources-list': NO_RESOURCES,
  'resources-read-text': NO_RESOURCES,
  'resources-read-binary': NO_RESOURCES,
  'resources-templates-read': NO_RESOURCES,
  'resources-subscribe': NO_RESOURCES,
  'resources-unsubscribe': NO_RESOURCES,
  'prompts-list': NO_PROMPTS,
  'prompts-get-simple': NO_PROMPTS,
  'prompts-get-with-args': NO_PROMPTS,
  'prompts-get-embedded-resource': NO_PROMPTS,
  'prompts-get-with-image': NO_PROMPTS,
};

describe.skipIf(!existsSync(SUITE))('the official conformance suite', () => {
  test('has no scenario for servers of which nobody said whether it applies', async () => {
    const { stdout } = await run(process.execPath, [SUITE, 'list', '--server']).catch(() =>
      run(process.execPath, [SUITE, 'list']),
    );
    const servers = stdout.slice(0, stdout.indexOf('Client scenarios') >>> 0);
    const names = [...servers.matchAll(/^ {2}- (\S+)/gm)].map(([, name]) => name as string);
    expect(names.toSorted()).toEqual([...APPLIES, ...Object.keys(DOES_NOT_APPLY)].toSorted());
  });

  test('passes what applies', async () => {
    const { url } = await startServer();
    for (const scenario of APPLIES) {
      const args = [SUITE, 'server', '--url', `${url}/mcp`, '--scenario', scenario, '-o', tempDirectory()];
      const { stdout } = await run(process.execPath, args);
      expect(stdout).toMatch(/Passed: (\d+)\/\1, 0 failed, 0 warnings/);
    }
  });
});
