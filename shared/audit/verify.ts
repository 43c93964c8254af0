import type { AuditEntry, Checkpoint, SignedCheckpoint } from '../domain/audit.ts';
import { EMPTY_LOG, extend, type LogEnd, leafHash, rootOf } from './chain.ts';
import { isSigned } from './signing.ts';

/** A line of an exported log. */
export type LogLine =
  | { readonly kind: 'entry'; readonly entry: AuditEntry; readonly hash: string }
  | ({ readonly kind: 'checkpoint' } & SignedCheckpoint);

export interface Verdict {
  readonly intact: boolean;
  readonly tenant: string | undefined;
  /** Entries that are as they were written, up to the first that is not. */
  readonly entries: number;
  readonly checkpoints: number;
  /** Of the last checkpoint. */
  readonly root: string | undefined;
  readonly fault?: Fault;
}

export interface Fault {
  /** From 1; of the log as it was read. */
  readonly line: number;
  /** The entry that should be there. */
  readonly sequence: number;
  readonly detail: string;
}

export interface Trust {
  /** Of the installation: SPKI, in base 64. */
  readonly publicKey: string;
  /** That was kept elsewhere: what it covers must be there, unchanged. */
  readonly kept?: readonly SignedCheckpoint[] | undefined;
}

/**
 * Whether a log is what it was: each entry the one after its predecessor, each checkpoint signed and of just these entries, and the whole at least as
 * long as what was kept elsewhere. Knows nothing of where it comes from.
 */
export const verifyLog = async (lines: AsyncIterable<LogLine>, { publicKey, kept = [] }: Trust): Promise<Verdict> => {
  let end: LogEnd = EMPTY_LOG;
  let checkpoints = 0;
  let covered = 0;
  let line = 0;
  let tenant: string | undefined;
  let root: string | undefined;
  const open = new Map<number, SignedCheckpoint[]>();
  const verdict = (detail?: string): Verdict => ({
    intact: detail === undefined,
    tenant,
    entries: end.size,
    checkpoints,
    root,
    ...(detail === undefined ? {} : { fault: { line, sequence: end.size + 1, detail } }),
  });
  for (const one of kept) {
    if (!isSigned(one.checkpoint, one, publicKey)) return verdict('a kept checkpoint is not signed by this key');
    open.set(one.checkpoint.size, [...(open.get(one.checkpoint.size) ?? []), one]);
  }
  for await (const one of lines) {
    line++;
    if (!isLine(one)) return verdict('the line is no entry and no checkpoint');
    if (one.kind === 'checkpoint') {
      if (!isSigned(one.checkpoint, one, publicKey)) return verdict('the checkpoint is not signed by this key');
      const fault = faultOfCheckpoint(one.checkpoint, end, tenant);
      if (fault !== undefined) return verdict(fault);
      checkpoints++;
      covered = end.size;
      root = one.checkpoint.root;
      continue;
    }
    const { entry, hash } = one;
    tenant ??= entry.tenant;
    const fault = faultOfEntry(entry, hash, end, tenant);
    if (fault !== undefined) return verdict(fault);
    end = extend(end, hash);
    for (const { checkpoint } of open.get(end.size) ?? []) {
      const keptFault = faultOfCheckpoint(checkpoint, end, tenant);
      if (keptFault !== undefined) return verdict(`it is not the log of a kept checkpoint: ${keptFault}`);
    }
  }
  line++;
  if (covered < end.size) return verdict('no checkpoint covers the last entries: the log was cut, or is not finished');
  const missing = Math.max(0, ...open.keys());
  if (missing > end.size) return verdict(`a kept checkpoint covers ${missing} entries: the end of the log was cut`);
  return verdict();
};

/** What comes from a file is anything. */
const isLine = (line: unknown): line is LogLine => {
  const { kind, entry, hash, checkpoint, key, signature } = (line ?? {}) as Record<string, unknown>;
  const isText = (...values: unknown[]) => values.every((value) => typeof value === 'string');
  const isObject = (value: unknown) => typeof value === 'object' && value !== null;
  if (kind === 'entry') return isObject(entry) && isText(hash);
  return kind === 'checkpoint' && isObject(checkpoint) && isText(key, signature);
};

const faultOfEntry = (entry: AuditEntry, hash: string, end: LogEnd, tenant: string): string | undefined => {
  if (entry.tenant !== tenant) return `the entry is of the tenant ${entry.tenant}, not ${tenant}`;
  if (entry.sequence !== end.size + 1) return `the entry has the number ${entry.sequence}`;
  if (entry.prev !== end.hash) return 'the entry does not follow the one before it';
  try {
    if (leafHash(entry) === hash) return undefined;
  } catch {
    // What has no canonical form was never written.
  }
  return 'the entry is not what its hash says';
};

const faultOfCheckpoint = (checkpoint: Checkpoint, end: LogEnd, tenant: string | undefined): string | undefined => {
  if (tenant !== undefined && checkpoint.tenant !== tenant)
    return `the checkpoint is of the tenant ${checkpoint.tenant}`;
  if (checkpoint.size !== end.size)
    return `the checkpoint covers ${checkpoint.size} entries, and there are ${end.size}`;
  if (checkpoint.hash !== end.hash || checkpoint.root !== rootOf(end)) return 'the checkpoint is of other entries';
  return undefined;
};
