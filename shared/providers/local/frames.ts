import type { Usage } from '../../domain/command.ts';
import type { TerminalSize } from '../../domain/terminal.ts';

/**
 * What the launcher and its helpers say to each other over a pipe each way: the native helper (launcher/ at the top of
 * this project) and the one in helper.ts, which takes its place where there is no compiler.
 *
 *   frame := length (u32, big-endian: of what follows) · kind (u8) · run (u32) · payload
 *
 * To the helper:
 *   prepare    LaunchSpec, as launch-coding.ts has it. Makes the work folder; nothing is executed.
 *   execute    The right to execute was won: now.
 *   stdin      bytes of input, within the input window
 *   stdinEnd   no more input
 *   credit     u32: so many bytes of output were taken
 *   signal     name of a signal for the process group
 *   stop       TERM, grace, KILL for the whole tree; what was only prepared is dropped
 *   resize     u32: rows << 16 | columns that the run's terminal has now
 * From the helper:
 *   ready      u32 PROTOCOL · u32 abilities (bits: ABILITIES) · text: why there is no isolation `sandbox`, where it was tried.
 *              Of run 0, before all else. A helper that dies before it has executed nothing.
 *   started    u32: process id of the command, also that of its session and process group; 0: not in sight, behind its walls
 *   stdout     bytes, within the output window
 *   stderr     bytes, within the output window
 *   stdinTaken u32: so many bytes of input were taken
 *   end        LaunchEnd, as launch-coding.ts has it. All of the run is gone; nothing follows.
 *
 * Numbers of runs are given by the launcher and not used twice. A helper whose input ends has lost its server: it kills
 * all that it started, removes the work folders, and leaves.
 *
 * Windows are per run: each side sends at most WINDOW_BYTES that were not yet taken (and the rest of what it had read
 * by then), so that a slow reader holds up its own command only.
 */
const KINDS = {
  prepare: 1,
  execute: 2,
  stdin: 3,
  stdinEnd: 4,
  credit: 5,
  signal: 6,
  stop: 7,
  resize: 8,
  ready: 16,
  started: 17,
  stdout: 18,
  stderr: 19,
  stdinTaken: 20,
  end: 21,
} as const;
export type FrameKind = keyof typeof KINDS;

/** Grows when the frames change. */
const PROTOCOL = 4;

/** What a helper can give on this machine: the bits of `ready`. */
export const ABILITIES = {
  /** Isolation `process`. */
  process: 1,
  /** Each command of it gets a user of its own. */
  ownUser: 2,
  /** Memory and processor of a command can be limited. */
  limits: 4,
  /** Isolation `sandbox`, where it was tried. */
  sandbox: 8,
  /** Control groups limit its commands; otherwise what they use is watched. */
  sandboxGroups: 16,
  /** Commands can have a terminal. */
  terminals: 32,
} as const;

export const WINDOW_BYTES = 1024 * 1024;

export interface LaunchSpec {
  /** Also the value of ERRAND_ATTEMPT, by which what belongs to the run is found again. */
  readonly key: string;
  readonly argv: readonly [string, ...string[]];
  /** All of it. */
  readonly env: Readonly<Record<string, string>>;
  /** Made for the run, and removed after it. A sandbox has its own instead. */
  readonly workDirectory: string;
  /** @default workDirectory */
  readonly cwd?: string;
  /** Whether input follows; otherwise it is empty. */
  readonly stdin: boolean;
  /** All three streams are a terminal of this size, what it shows is stdout. Of the native helper alone. */
  readonly terminal?: TerminalSize;
  readonly graceSeconds: number;
  /** `process`: no new privileges, limits, a user of its own where that is possible. `sandbox`: launcher/box. */
  readonly isolation: 'none' | 'process' | 'sandbox';
  readonly memoryMiB?: number;
  /** Cores. */
  readonly cpu?: number;
}

export type LaunchEnd =
  | {
      readonly kind: 'ended';
      readonly exitCode: number | null;
      readonly signal: string | null;
      readonly outOfMemory?: boolean;
      readonly detail?: string;
      readonly usage?: Usage;
    }
  /** Stopped before it was executed. */
  | { readonly kind: 'dropped' }
  /** Surely not executed. */
  | { readonly kind: 'rejected'; readonly detail: string; readonly retryable: boolean };

const nameByKind = new Map<number, FrameKind>(Object.entries(KINDS).map(([name, kind]) => [kind, name as FrameKind]));
const HEADER_BYTES = 9;

/** A frame as the pieces to write, so that the payload is not copied. */
export const frame = (kind: FrameKind, run: number, payload: Uint8Array = new Uint8Array()): Uint8Array[] => {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32BE(HEADER_BYTES - 4 + payload.length, 0);
  header.writeUInt8(KINDS[kind], 4);
  header.writeUInt32BE(run, 5);
  return payload.length > 0 ? [header, payload] : [header];
};

export const numberFrame = (kind: FrameKind, run: number, value: number): Uint8Array[] => {
  const payload = Buffer.allocUnsafe(4);
  payload.writeUInt32BE(value);
  return frame(kind, run, payload);
};

/** As one number, which both `prepare` and `resize` carry. */
export const terminalNumber = ({ rows, columns }: TerminalSize): number => rows * 65_536 + columns;

export const readyFrame = (abilities: number): Uint8Array[] => {
  const payload = Buffer.alloc(12);
  payload.writeUInt32BE(PROTOCOL, 0);
  payload.writeUInt32BE(abilities, 4);
  return frame('ready', 0, payload);
};

/** What a helper says of itself when it is ready. */
export interface HelperReady {
  /** The bits of ABILITIES. */
  readonly abilities: number;
  /** Why there is no isolation `sandbox`, with what to do; empty where there is, and where it was not tried. */
  readonly noSandbox: string;
}

/** @throws Error when the helper speaks another protocol */
export const readReady = (payload: Buffer): HelperReady => {
  const protocol = payload.readUInt32BE(0);
  if (protocol !== PROTOCOL) throw new Error(`The helper speaks protocol ${protocol}, not ${PROTOCOL}`);
  return { abilities: payload.readUInt32BE(4), noSandbox: payload.toString('utf8', 12) };
};

export type OnFrame = (kind: FrameKind, run: number, payload: Buffer) => void;

/** The largest that is sent is a LaunchSpec, of 16 MiB of variables at most. */
const MOST_FRAME_BYTES = 256 * 1024 * 1024;

/** Bytes of a stream: a frame of theirs may be handed on in parts. */
const STREAMED: ReadonlySet<FrameKind> = new Set(['stdin', 'stdout', 'stderr']);

/**
 * Cuts what comes over a pipe, in whatever pieces, into frames. Those of a stream are handed on as their bytes come, so that
 * none of them is copied; the others as a whole.
 * @throws Error when what comes cannot be frames
 */
export const makeFrameReader = (onFrame: OnFrame): ((piece: Buffer) => void) => {
  /** What came of a frame that is not whole yet. */
  let rest: Buffer[] = [];
  let have = 0;
  let need = HEADER_BYTES;
  /** The frame of a stream of which more is to come. */
  let open: { readonly kind: FrameKind; readonly run: number } | undefined;
  let openBytes = 0;

  const handOn = (bytes: Buffer): Buffer => {
    if (!open) return bytes;
    const part = bytes.subarray(0, openBytes);
    openBytes -= part.length;
    const { kind, run } = open;
    if (openBytes === 0) open = undefined;
    if (part.length > 0) onFrame(kind, run, part);
    return bytes.subarray(part.length);
  };

  /** What is left once all whole frames were taken. */
  const takeFrames = (bytes: Buffer): Buffer => {
    let left = handOn(bytes);
    for (;;) {
      need = open ? 1 : HEADER_BYTES;
      if (left.length < need) return left;
      const length = 4 + left.readUInt32BE(0);
      if (length < HEADER_BYTES || length > MOST_FRAME_BYTES) throw new Error(`A frame of ${length} bytes`);
      const kind = nameByKind.get(left.readUInt8(4));
      if (kind === undefined) throw new Error(`Unknown frame ${left.readUInt8(4)}`);
      const run = left.readUInt32BE(5);
      if (STREAMED.has(kind)) {
        open = { kind, run };
        openBytes = length - HEADER_BYTES;
        left = handOn(left.subarray(HEADER_BYTES));
        continue;
      }
      need = length;
      if (left.length < need) return left;
      onFrame(kind, run, left.subarray(HEADER_BYTES, need));
      left = left.subarray(need);
    }
  };

  return (piece) => {
    rest.push(piece);
    have += piece.length;
    if (have < need) return;
    const left = takeFrames(rest.length === 1 ? piece : Buffer.concat(rest, have));
    rest = left.length > 0 ? [left] : [];
    have = left.length;
  };
};
