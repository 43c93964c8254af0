import { spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import type { Log } from '../../telemetry/log.ts';
import type { Send } from './feed-stdin.ts';
import { type HelperReady, type LaunchSpec, makeFrameReader, readReady } from './frames.ts';
import type { HelperProgram } from './helper-programs.ts';
import { type LaunchedRun, type LaunchIo, launchRun, type RunEars } from './launched-run.ts';
import { idle } from './machine-time.ts';

/** A helper process, as the server sees it. */
export interface Helper {
  /** What it is able to, once it is ready; undefined when it went before it was. */
  readonly ready: Promise<HelperReady | undefined>;
  /** Runs under way. */
  load(): number;
  launch(spec: LaunchSpec, io: LaunchIo): LaunchedRun;
  /** Lets it go: it kills what it still runs. Resolves when it is gone. */
  close(): Promise<void>;
}

/** Longer than a helper waits for what it cannot kill. */
const CLOSE_PATIENCE_MS = 15_000;

interface HelperOptions {
  readonly program: HelperProgram;
  readonly onGone: (wasReady: boolean) => void;
  readonly log: Log;
}

export const startHelper = ({ program, onGone, log }: HelperOptions): Helper => {
  const child = spawn(program.file, program.args, {
    env: program.env,
    stdio: ['pipe', 'pipe', 'inherit'],
    // Out of reach of the terminal's Ctrl-C, which is for the server alone.
    detached: true,
  });
  // Where no descriptors are left for them it has no pipes: it was not started, and `error` follows.
  const { stdin, stdout }: { readonly stdin?: Writable; readonly stdout?: Readable } = child;
  const earsByRun = new Map<number, RunEars>();
  let lastRun = 0;
  let isReady = false;
  let isClosing = false;
  const { promise: gone, resolve } = Promise.withResolvers<void>();
  const { promise: ready, resolve: tellReady } = Promise.withResolvers<HelperReady | undefined>();
  const leave = (why: Record<string, unknown>): void => {
    if (!isClosing) log.error('A helper process died', { ...why, pid: child.pid, isReady, runs: earsByRun.size });
    onGone(isReady);
    tellReady(undefined);
    for (const ears of earsByRun.values()) ears.helperDied(isReady);
    resolve();
  };
  // `close` comes after the last that it said; a helper that could not be started has neither.
  child.once('close', (exitCode, signal) => leave({ exitCode, signal }));
  child.once('error', (error) => child.pid === undefined && leave({ error }));
  stdin?.on('error', () => {}); // It died; `close` follows.
  const read = makeFrameReader((kind, run, payload) => {
    if (kind !== 'ready') return earsByRun.get(run)?.hear(kind, payload);
    const said = readReady(payload);
    isReady = true;
    tellReady(said);
  });
  stdout?.on('data', (piece: Buffer) => {
    try {
      read(piece);
    } catch (error) {
      log.error('A helper process is not understood', { pid: child.pid, error });
      stdout.destroy();
      child.kill('SIGKILL');
    }
  });
  const send = stdin ? batched(stdin) : () => {};

  return {
    ready,
    load: () => earsByRun.size,
    launch(spec, io) {
      const id = ++lastRun;
      const { run, ears } = launchRun(id, spec, io, { send, onEnd: () => earsByRun.delete(id) });
      earsByRun.set(id, ears);
      return run;
    },
    async close() {
      isClosing = true;
      stdin?.end();
      void idle(CLOSE_PATIENCE_MS).then(() => child.kill('SIGKILL'));
      await gone;
    },
  };
};

/** What is said within one turn of the event loop leaves in one write. */
const batched =
  (stdin: Writable): Send =>
  (pieces) => {
    if (!stdin.writable) return;
    if (stdin.writableCorked === 0) {
      stdin.cork();
      setImmediate(() => stdin.uncork());
    }
    for (const piece of pieces) stdin.write(piece);
  };
