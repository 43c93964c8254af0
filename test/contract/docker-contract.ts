import { afterAll, beforeAll, describe } from 'vitest';
import { dockerFeatures } from '../../shared/providers/docker/config.ts';
import { type Kind, missingFor, type RunningDaemon, startDaemon } from '../support/containers/daemons.ts';
import { openDocker } from '../support/containers/open-docker.ts';
import { dockerRuns } from './docker-runs.ts';
import { providerContract } from './provider-contract.ts';

/** What Podman sets and does not let itself be talked out of. */
const PODMANS_OWN = ['HOSTNAME', 'TERM', 'container'];

export const dockerContract = (kind: Kind): void => {
  const missing = missingFor(kind);
  const needs = missing.length > 0 ? ` (needs ${missing.join(', ')})` : '';
  describe.skipIf(missing.length > 0)(`docker, on ${kind}${needs}`, () => {
    let daemon: RunningDaemon;
    beforeAll(async () => {
      daemon = await startDaemon(kind);
    });
    afterAll(() => daemon?.close());

    providerContract(`docker, on ${kind}`, dockerFeatures({ images: [] }), () => openDocker(daemon), {
      // Each is a container, made and removed.
      atOnce: 12,
      ownEnvironment: kind === 'podman' ? PODMANS_OWN : [],
    });
    dockerRuns(kind, () => daemon);
  });
};
