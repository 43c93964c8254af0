import * as z from 'zod';
import type { ProviderFeatures } from './provider.ts';

/** What our runner beside the command brings to whichever provider it stands at. */
export const RUNNER_FEATURES = {
  runner: 'remote',
  startTicket: true,
  liveOutput: true,
  separateStreams: true,
  stdin: true,
  signals: true,
  cancel: 'tree',
} as const satisfies Partial<ProviderFeatures>;

const LOOPBACK: readonly string[] = ['127.0.0.1', '[::1]', 'localhost'];

/** The `endpoint` of a target's config: where something else speaks the cloud's protocol, on this machine and nowhere else. */
export const loopbackEndpoint = (protocol: RegExp) =>
  z.url({ protocol }).refine((url) => LOOPBACK.includes(new URL(url).hostname), {
    error: 'is for local trials: its host must be 127.0.0.1, [::1] or localhost',
  });
