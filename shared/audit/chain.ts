import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { AuditEntry, AuditEvent } from '../domain/audit.ts';

/** Before the first entry. */
const NO_HASH = '0'.repeat(64);

/** The one text of a value (RFC 8785), which is what is hashed and signed. */
export const canonical = (value: unknown): string => canonicalize(value) as string;

/** SHA-256 of a value's canonical JSON, in hex. */
export const hashOf = (value: unknown): string => createHash('sha256').update(canonical(value)).digest('hex');

/** The hash of an entry: a leaf of the tree (RFC 9162, section 2.1.1), whose first byte keeps it from passing for a node. */
export const leafHash = (entry: AuditEntry): string =>
  createHash('sha256').update('\0').update(canonical(entry)).digest('hex');

/** Where a log ends. */
export interface LogEnd {
  readonly size: number;
  /** Of the last entry. */
  readonly hash: string;
  /** Roots of the complete trees that make up the whole, the largest first: all that is needed to go on. */
  readonly subtrees: readonly string[];
}

export const EMPTY_LOG: LogEnd = { size: 0, hash: NO_HASH, subtrees: [] };

/** The entry that follows, and the end after it. */
export const append = (tenant: string, end: LogEnd, event: AuditEvent): { entry: AuditEntry; end: LogEnd } => {
  const { type, at, actor, subject, details } = event;
  const same = { v: 1, tenant, type, at, actor, subject, details } as const;
  const entry: AuditEntry = { ...same, sequence: end.size + 1, prev: end.hash };
  return { entry, end: extend(end, leafHash(entry)) };
};

export const extend = ({ size, subtrees }: LogEnd, leaf: string): LogEnd => {
  const roots = [...subtrees];
  let node = leaf;
  // As in adding one to a binary number: equal trees merge.
  for (let left = size; left % 2 === 1; left = (left - 1) / 2) node = nodeHash(roots.pop() as string, node);
  roots.push(node);
  return { size: size + 1, hash: leaf, subtrees: roots };
};

const nodeHash = (left: string, right: string): string =>
  createHash('sha256')
    .update('\x01')
    .update(Buffer.from(left + right, 'hex'))
    .digest('hex');

/** The tree's root: that of nothing is the hash of nothing. */
export const rootOf = ({ subtrees }: LogEnd): string => {
  const [last, ...larger] = subtrees.toReversed();
  if (last === undefined) return createHash('sha256').digest('hex');
  return larger.reduce((right, left) => nodeHash(left, right), last);
};
