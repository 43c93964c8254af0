import * as z from 'zod';
import { type SandboxConfig as Config, DEFAULT_SANDBOX } from './sandbox.ts';

const path = z
  .string()
  .max(255)
  .regex(/^\/[^\0:]+$/, 'must be an absolute path without a colon');
/** Covered in each sandbox, or the system's already. */
const TAKEN = /^\/(tmp|work|proc|dev|etc|usr|var\/tmp|var\/run)(\/|$)|\/\.\.?(\/|$)/;
const placeInside = path.refine((text) => !TAKEN.test(text), {
  error: 'is a place that every sandbox has already; name another, such as /opt/tools, as at',
});

/** How an operator says what sandboxes are; each field as in SandboxConfig. */
export const SandboxConfig = z.strictObject({
  network: z.enum(['none', 'host']).default(DEFAULT_SANDBOX.network),
  readable: z
    .array(z.union([z.strictObject({ path, at: placeInside }), z.strictObject({ path: placeInside })]))
    .max(8)
    .default([]),
  diskMiB: z.int().min(1).max(1_048_576).default(DEFAULT_SANDBOX.diskMiB),
  diskFiles: z.int().min(16).max(1_000_000_000).default(DEFAULT_SANDBOX.diskFiles),
  memoryMiB: z.int().min(16).max(4_194_304).default(DEFAULT_SANDBOX.memoryMiB),
  processes: z.int().min(4).max(4_194_304).default(DEFAULT_SANDBOX.processes),
  openFiles: z.int().min(16).max(1_048_576).default(DEFAULT_SANDBOX.openFiles),
}) satisfies z.ZodType<Config>;
