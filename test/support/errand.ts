import { onTestFinished } from 'vitest';
import { type Embedded, type EmbeddedOptions, openEmbedded } from '../../local/embedded.ts';
import type { CommandView, ProblemView } from '../../shared/contract/schemas.ts';
import { watch } from './canaries/watched.ts';
import { tempDirectory } from './temp-directory.ts';

export interface Errand extends Embedded {
  readonly dataDirectory: string;
  /** Sends a request; an object becomes JSON. */
  request(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>;
  /** Submits, and waits for the end unless told not to. */
  submit(body: unknown, headers?: Record<string, string>): Promise<CommandView>;
  get(id: string, waitSeconds?: number): Promise<CommandView>;
}

/** All of Errand in this process. When it closes, nothing that it answered or logged may have been a secret. */
export const openWatched = async (options: EmbeddedOptions): Promise<Embedded> => {
  const watched = watch();
  const embedded = await openEmbedded({ log: watched.log, ...options });
  return {
    ...embedded,
    fetch: watched.fetch(embedded.fetch),
    async close() {
      await embedded.close();
      await watched.refuseLeaks(options.dataDirectory);
    },
  };
};

/** The same, on a folder of the test's own. */
export const openErrand = async (dataDirectory = tempDirectory()): Promise<Errand> => {
  const embedded = await openWatched({ dataDirectory, work: true });
  onTestFinished(() => embedded.close());
  const request: Errand['request'] = (method, path, body, headers = {}) => {
    const isBytes = body instanceof Uint8Array || typeof body === 'string';
    return embedded.fetch(`${embedded.url}${path}`, {
      method,
      headers: { ...(body !== undefined && !isBytes ? { 'content-type': 'application/json' } : {}), ...headers },
      ...(body === undefined ? {} : { body: isBytes ? (body as string) : JSON.stringify(body) }),
    });
  };
  return {
    ...embedded,
    dataDirectory,
    request,
    submit: async (body, headers = { prefer: 'wait=60' }) =>
      (await (await request('POST', '/v1/commands', body, headers)).json()) as CommandView,
    get: async (id, waitSeconds = 0) =>
      (await (
        await request('GET', `/v1/commands/${id}`, undefined, { prefer: `wait=${waitSeconds}` })
      ).json()) as CommandView,
  };
};

export const problemOf = async (response: Response): Promise<ProblemView> => (await response.json()) as ProblemView;

export const sh = (script: string, over: Record<string, unknown> = {}) => ({
  argv: ['/bin/sh', '-c', script],
  ...over,
});
