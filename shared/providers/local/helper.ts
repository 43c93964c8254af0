/**
 * The helper for machines without a compiler: a small process that spawns commands for the server, as spawning from a
 * process that has grown is slow. Speaks the frames of frames.ts over its standard input and output. When its input ends, the server is gone,
 * and so must be all that it started.
 */
import { closeSync, readdirSync, readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { frame, type LaunchSpec, makeFrameReader, numberFrame, readyFrame } from './frames.ts';
import type { CommandParts } from './helper-command.ts';
import { makePipes } from './helper-pipes.ts';
import { type HelperRun, prepareRun } from './helper-run.ts';
import { decodeSpec, encodeEnd } from './launch-coding.ts';
import { makeLeftovers } from './leftovers.ts';
import { idle } from './machine-time.ts';

/** O_CLOEXEC, as /proc/self/fdinfo shows it (in octal). */
const CLOSE_ON_EXEC = 0o2000000;

/**
 * Closes what was inherited from whoever started the server: a command would inherit it in turn.
 * Node's own descriptors all close on exec.
 */
const closeInherited = (): void => {
  if (process.platform !== 'linux') return;
  for (const fd of readdirSync('/proc/self/fd').map(Number)) {
    if (fd <= 2) continue;
    try {
      const flags = /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
      if (flags !== undefined && (Number.parseInt(flags, 8) & CLOSE_ON_EXEC) === 0) closeSync(fd);
    } catch {
      // It was the listing's own.
    }
  }
};
closeInherited();

const input = new Socket({ fd: 0, readable: true, writable: false });
// process.stdout would block on a full pipe.
const output = new Socket({ fd: 1, readable: false, writable: true });
const parts: CommandParts = { pipes: makePipes(), leftovers: makeLeftovers() };
const runs = new Map<number, HelperRun>();

let corked = false;
const write = (pieces: readonly Uint8Array[]): void => {
  if (output.destroyed) return;
  if (!corked) {
    // What is said within one turn of the event loop leaves in one write.
    corked = true;
    output.cork();
    setImmediate(() => {
      corked = false;
      output.uncork();
    });
  }
  for (const piece of pieces) output.write(piece);
};

const prepare = (id: number, spec: LaunchSpec): void => {
  const run = prepareRun(spec, parts, {
    started: (leader) => write(numberFrame('started', id, leader)),
    output: (stream, bytes) => write(frame(stream, id, bytes)),
    stdinTaken: (bytes) => write(numberFrame('stdinTaken', id, bytes)),
    ended(end) {
      runs.delete(id);
      write(frame('end', id, encodeEnd(end)));
    },
  });
  runs.set(id, run);
};

const reader = makeFrameReader((kind, id, payload) => {
  if (kind === 'prepare') return prepare(id, decodeSpec(payload));
  // Undefined for a run that has ended meanwhile.
  const run = runs.get(id);
  if (kind === 'execute') run?.execute();
  else if (kind === 'stop') run?.stop();
  else if (kind === 'stdin') run?.command()?.stdin(payload);
  else if (kind === 'stdinEnd') run?.command()?.stdinEnd();
  else if (kind === 'credit') run?.command()?.credit(payload.readUInt32BE(0));
  else if (kind === 'signal') run?.command()?.signal(payload.toString('latin1') as NodeJS.Signals);
});

/** A process that the kernel holds on to must not hold on to this one. */
const LEAVE_PATIENCE_MS = 12_000;

let leaving = false;
const leave = (): void => {
  if (leaving) return;
  leaving = true;
  output.destroy();
  const allGone = Promise.all([...runs.values()].map((run) => run.abandon()));
  void Promise.race([allGone, idle(LEAVE_PATIENCE_MS)]).finally(() => process.exit(0));
};

input.on('data', reader);
input.on('close', leave);
input.on('error', leave);
output.on('error', leave);
// Only the end of its input ends this process: it has to clean up behind whoever is gone.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
process.on('SIGHUP', () => {});
write(readyFrame(0));
