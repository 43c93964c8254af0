import * as z from 'zod';
import type { Exit, SignalName } from '../domain/command.ts';
import { LIMITS } from '../domain/limits.ts';
import type { OutputTotals, Segment } from '../domain/output.ts';

/*
 * What a runner that stands beside its command says to the control plane, over HTTPS. Each request carries
 * `Authorization: Bearer <token>`, the right to one attempt, and each may be repeated when its answer was lost.
 */

/** Most bytes after the head of one framed body. */
const FRAMED_BYTES = 1024 * 1024;
const HEAD_BYTES = 512 * 1024;
/** Within what Lambda takes as one request, 6 MB in base 64. */
export const MOST_FRAMED_BYTES = 4 + HEAD_BYTES + FRAMED_BYTES;

const count = z.int().min(0);

/** Asks for the right to execute. `runner` is random and the same in each repetition: it tells two runners apart. */
export const RedeemStart = z.strictObject({
  runner: z.string().regex(/^[0-9a-f]{32}$/, 'must be 32 hex digits'),
  /** What it can do that runners could not always, such as TAKES_SECRETS. What the server does not know of is fine. */
  can: z.array(z.string().max(40)).max(40).optional(),
});

/** What to execute. It is told only to the one runner that redeemed the start ticket. */
export interface StartOrder {
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  /** The values of the variables that hold secrets, as base 64: to be masked in all that is said of the command. */
  readonly secrets?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** `open`: to be read from `GET /runner/v1/stdin`. */
  readonly stdin: 'none' | 'open' | { readonly base64: string };
  readonly timeoutSeconds: number;
  /** How often to look at the latest. */
  readonly lookEverySeconds: number;
  /** Output kept; the rest is to be counted only. */
  readonly keepBytes: number;
}

/** `stored`: also how much of its output is stored, which is a read more. */
export const LookAtRun = z.strictObject({ stored: z.literal('true').optional() });

/** What a runner learns when it looks, which also is its sign of life. */
export interface RunnerOutlook {
  /** The command must end now: TERM, grace, KILL. */
  readonly stop: boolean;
  /** The attempt is over for the control plane: nobody waits for its end. */
  readonly over: boolean;
  /** All signals sent to this attempt so far, in order. */
  readonly signals: readonly SignalName[];
  /** How much of its output is stored, when it was asked for that. */
  readonly stored?: Pick<OutputTotals, 'stdoutBytes' | 'stderrBytes'>;
}

/** A chunk of output, before its bytes: how much of each stream came before it, and what it holds in which order. */
export interface OutputHead {
  readonly stdoutOffset: number;
  readonly stderrOffset: number;
  readonly segments: readonly Segment[];
}
export const OutputHeadSchema: z.ZodType<OutputHead> = z
  .strictObject({
    stdoutOffset: count,
    stderrOffset: count,
    segments: z
      .array(z.strictObject({ stream: z.enum(['stdout', 'stderr']), length: z.int().min(1) }))
      .min(1)
      // A writer may be over by what each stream was about to hand over.
      .max(LIMITS.outputSegments * 2),
  })
  .refine(({ stdoutOffset, stderrOffset }) => stdoutOffset + stderrOffset <= LIMITS.outputBytes, {
    error: `output is kept up to ${LIMITS.outputBytes} bytes`,
  });

/** How an attempt ended, before the bytes of its last chunk of output. */
export type EndHead =
  | {
      readonly kind: 'ended';
      readonly exit: Exit;
      /** The machine was told to end, and the command with it. Unless it was asked to stop, this end is not its own. */
      readonly evicted?: boolean | undefined;
      readonly output: OutputTotals;
      readonly chunk?: OutputHead | undefined;
    }
  /** It may have been executed, and how it ended the runner does not know. */
  | {
      readonly kind: 'lost';
      readonly detail: string;
      readonly output: OutputTotals;
      readonly chunk?: OutputHead | undefined;
    }
  /** It was not executed, for a reason that is not its own. */
  | { readonly kind: 'rejected'; readonly detail: string; readonly retryable: boolean };

const detail = z.string().max(LIMITS.detailCharacters);
const totals = z.strictObject({ stdoutBytes: count, stderrBytes: count, droppedBytes: count });
const exit = z.strictObject({
  exitCode: z.int().min(0).max(255).nullable(),
  signal: z
    .string()
    .regex(/^SIG[A-Z0-9+-]{1,12}$/)
    .nullable(),
  outOfMemory: z.boolean().optional(),
  detail: detail.optional(),
  usage: z.strictObject({ cpuMs: z.number().min(0), peakMemoryMiB: z.number().min(0) }).optional(),
  redactions: count.optional(),
});
export const EndHeadSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('ended'),
    exit,
    evicted: z.boolean().optional(),
    output: totals,
    chunk: OutputHeadSchema.optional(),
  }),
  z.strictObject({ kind: z.literal('lost'), detail, output: totals, chunk: OutputHeadSchema.optional() }),
  z.strictObject({ kind: z.literal('rejected'), detail, retryable: z.boolean() }),
]) as z.ZodType<EndHead>;
