import type { Calls } from '../calls.ts';
import type { ProviderContext } from '../context.ts';
import type { PreparationParts } from '../provider.ts';
import { type Clients, makeCloudRunCalls } from './calls.ts';
import type { CloudRunConfig } from './config.ts';
import { makeAuth, SignInFault } from './credentials.ts';
import { CODE, codeOf } from './faults.ts';
import { INSTALLATION_LABEL } from './jobs.ts';

const STORAGE = 'https://storage.googleapis.com';
/** What the runner runs on, of which the pack has one: Node and its libraries. */
const NODE = 'bin/node';
/** What starts all of it: the last to be replaced, so that it never finds less than it needs. */
const ENTRY = 'runner.mjs';

/**
 * Brings the runner of this release into the bucket that jobs mount. Node, which it runs on, is there already: it is as
 * large as an image, changes seldom, and comes with the one-time preparation of the project.
 * As the federated identity itself, which alone may write there, and not as the account that starts jobs.
 * @throws Error that says what is missing, for a person
 */
export const bringRunner = async (
  { workloadIdentity, ...config }: CloudRunConfig,
  context: ProviderContext,
  { runner }: PreparationParts,
): Promise<void> => {
  const { runnerBucket: bucket, endpoint } = config;
  // Images bring it themselves.
  if (bucket === undefined) return;
  const itself = workloadIdentity ? { workloadIdentity: { audience: workloadIdentity.audience } } : {};
  const auth = makeAuth({ ...config, ...itself }, context);
  const calls = makeCloudRunCalls(context);
  const storage = endpoint?.replace(/\/$/, '') ?? STORAGE;
  const at = encodeURIComponent(bucket);
  const ask = async (path: string, missing: string, init: RequestInit = {}): Promise<void> => {
    try {
      await calls.repeatable((options) => auth.fetch(`${storage}${path}`, { ...init, ...options }));
    } catch (cause) {
      throw new Error(reasonOf(cause, missing), { cause });
    }
  };
  await ask(
    `/storage/v1/b/${at}/o/${encodeURIComponent(NODE)}?fields=name`,
    `The bucket ${bucket} holds no ${NODE}, or is not there.`,
  );
  const files = [...runner].sort(([a], [b]) => Number(a === ENTRY) - Number(b === ENTRY));
  for (const [name, bytes] of files) {
    const path = `/upload/storage/v1/b/${at}/o?uploadType=media&name=${encodeURIComponent(`bin/${name}`)}`;
    const headers = { 'content-type': 'application/octet-stream' };
    await ask(path, `The bucket ${bucket} is not there.`, { method: 'POST', body: Buffer.from(bytes), headers });
  }
};

const reasonOf = (error: unknown, missing: string): string => {
  if (error instanceof SignInFault) return 'Google does not take the credentials.';
  const { status } = error as { readonly status?: number };
  if (status === 404) return missing;
  if (status === 401 || status === 403) return 'Google does not let this role into the bucket of the runner.';
  return `The bucket of the runner could not be written (${status ?? 'no answer'}).`;
};

/** The jobs of all shapes of an installation, by their mark. Their executions must have ended. */
export const removeJobs = async (
  { jobs }: Clients,
  { repeatable }: Calls,
  { parent, installation }: { readonly parent: string; readonly installation: string },
): Promise<void> => {
  let pageToken = '';
  do {
    const request = { parent, pageSize: 100, pageToken };
    const [found, , answer] = await repeatable((options) =>
      jobs.listJobs(request, { ...options, autoPaginate: false }),
    );
    for (const { name, labels } of found) {
      if (!name || labels?.[INSTALLATION_LABEL] !== installation) continue;
      await repeatable((options) => jobs.deleteJob({ name }, options)).catch((error: unknown) => {
        if (codeOf(error) !== CODE.notFound) throw error;
      });
    }
    pageToken = answer?.nextPageToken ?? '';
  } while (pageToken !== '');
};
