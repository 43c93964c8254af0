import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { append, EMPTY_LOG, type LogEnd, leafHash, rootOf } from '../../../shared/audit/chain.ts';
import { makeSigner, signCheckpoint } from '../../../shared/audit/signing.ts';
import { type LogLine, type Verdict, verifyLog } from '../../../shared/audit/verify.ts';
import type { AuditEntry, AuditEvent, SignedCheckpoint } from '../../../shared/domain/audit.ts';

const signer = makeSigner('secret-of-the-installation');
const stranger = makeSigner('secret-of-somebody-else');

const eventOf = (i: number): AuditEvent => ({
  type: 'command.submitted',
  at: new Date(1_764_000_000_000 + i).toISOString(),
  actor: { id: `mem_${i % 7}`, role: 'operator', credential: { kind: 'api-key', id: `k${i % 3}` } },
  subject: `cmd_${i}`,
  details: {
    commandHash: createHash('sha256').update(String(i)).digest('hex'),
    exitCode: i % 5,
    nested: { b: [1, null], a: 'é' },
  },
});

const checkpointOf = (end: LogEnd, tenant: string, by = signer): SignedCheckpoint =>
  signCheckpoint(by, {
    v: 1,
    tenant,
    size: end.size,
    hash: end.hash,
    root: rootOf(end),
    at: '2026-11-24T00:00:00.000Z',
  });

/** A log with a checkpoint after every so many entries, and at its end. */
const makeLog = (size: number, { tenant = 'acme', every = 10, by = signer } = {}): LogLine[] => {
  const lines: LogLine[] = [];
  let end = EMPTY_LOG;
  for (let i = 1; i <= size; i++) {
    const { entry, end: next } = append(tenant, end, eventOf(i));
    end = next;
    lines.push({ kind: 'entry', entry, hash: end.hash });
    if (i % every === 0 || i === size) lines.push({ kind: 'checkpoint', ...checkpointOf(end, tenant, by) });
  }
  return lines;
};

async function* stream(lines: readonly LogLine[]): AsyncGenerator<LogLine> {
  yield* lines;
}
const verify = (lines: readonly LogLine[], kept: readonly SignedCheckpoint[] = []): Promise<Verdict> =>
  verifyLog(stream(lines), { publicKey: signer.publicKey, kept });
const checkpointsOf = (lines: readonly LogLine[]) =>
  lines.flatMap((line) => (line.kind === 'checkpoint' ? [line] : []));
const copy = (lines: readonly LogLine[]): LogLine[] => structuredClone(lines) as LogLine[];
const isEntry = (line: LogLine): line is Extract<LogLine, { kind: 'entry' }> => line.kind === 'entry';

const LOG = makeLog(35);
const at = (sequence: number) => LOG.findIndex((line) => isEntry(line) && line.entry.sequence === sequence);
const KEPT = checkpointsOf(LOG).slice(-1);

/** All that follows made anew, as whoever can write the store but not sign would. */
const rehash = (lines: LogLine[], keepCheckpoints: boolean): LogLine[] => {
  let end = EMPTY_LOG;
  return lines.flatMap((line): LogLine[] => {
    if (!isEntry(line))
      return keepCheckpoints ? [line] : [{ kind: 'checkpoint', ...checkpointOf(end, 'acme', stranger) }];
    const { tenant, v: _, sequence: __, prev: ___, ...event } = line.entry;
    const appended = append(tenant, end, event);
    end = appended.end;
    return [{ kind: 'entry', entry: appended.entry, hash: end.hash }];
  });
};

describe('an untouched log is intact', () => {
  test.for([1, 2, 3, 7, 8, 9, 35, 64, 100])('of %i entries', async (size) => {
    const lines = makeLog(size);
    expect(await verify(lines, checkpointsOf(lines))).toMatchObject({ intact: true, entries: size, tenant: 'acme' });
  });

  test('of none', async () => {
    expect(await verify([])).toMatchObject({ intact: true, entries: 0 });
  });
});

describe('what was done to a log is found, at the first entry that is not as it was', () => {
  const change = (sequence: number, how: (entry: AuditEntry) => AuditEntry): LogLine[] => {
    const lines = copy(LOG);
    const line = lines[at(sequence)] as Extract<LogLine, { kind: 'entry' }>;
    lines[at(sequence)] = { ...line, entry: how(line.entry) };
    return lines;
  };
  const without = (sequence: number) => LOG.filter((line) => !isEntry(line) || line.entry.sequence !== sequence);
  const swapped = copy(LOG);
  [swapped[at(12)], swapped[at(13)]] = [swapped[at(13)] as LogLine, swapped[at(12)] as LogLine];
  const inserted = copy(LOG);
  inserted.splice(at(12), 0, copy(LOG)[at(5)] as LogLine);

  test.for<[what: string, lines: LogLine[], sequence: number]>([
    ['the actor changed', change(4, (entry) => ({ ...entry, actor: { id: 'mem_other' } })), 4],
    ['the time changed', change(4, (entry) => ({ ...entry, at: '2020-01-01T00:00:00.000Z' })), 4],
    ['the subject changed', change(4, (entry) => ({ ...entry, subject: 'cmd_other' })), 4],
    ['a detail changed', change(4, (entry) => ({ ...entry, details: { ...entry.details, exitCode: 0 } })), 4],
    ['a detail added', change(4, (entry) => ({ ...entry, details: { ...entry.details, x: 1 } })), 4],
    ['a field added', change(4, (entry) => ({ ...entry, x: 1 }) as AuditEntry), 4],
    ['the number changed', change(4, (entry) => ({ ...entry, sequence: 5 })), 4],
    ['the tenant changed', change(4, (entry) => ({ ...entry, tenant: 'other' })), 4],
    ['the first removed', without(1), 1],
    ['one removed', without(20), 20],
    ['the last removed', without(35), 35],
    ['two swapped', swapped, 12],
    ['one inserted', inserted, 12],
    ['one twice', copy(LOG).toSpliced(at(12), 0, copy(LOG)[at(12)] as LogLine), 13],
    ['the tail cut after an entry', LOG.slice(0, at(33)), 33],
    [
      'all made anew, signed by another',
      rehash(
        change(4, (entry) => ({ ...entry, subject: 'cmd_other' })),
        false,
      ),
      11,
    ],
    [
      'all made anew, with the old checkpoints',
      rehash(
        change(4, (entry) => ({ ...entry, subject: 'cmd_other' })),
        true,
      ),
      11,
    ],
    [
      'an old checkpoint in the place of a new one',
      copy(LOG).toSpliced(LOG.length - 1, 1, copy(LOG)[at(10) + 1] as LogLine),
      36,
    ],
    ['no checkpoint at the end', LOG.slice(0, -1), 36],
    ['a checkpoint of another key', [...LOG.slice(0, -1), ...makeLog(35, { by: stranger }).slice(-1)], 36],
  ])('%s', async ([, lines, sequence]) => {
    const verdict = await verify(lines);
    expect(verdict).toMatchObject({ intact: false, fault: { sequence } });
  });

  test('each bit of each field of an entry', async () => {
    const text = JSON.stringify((LOG[at(7)] as { entry: AuditEntry }).entry);
    let tried = 0;
    for (let bit = 0; bit < text.length * 8; bit += 3) {
      const bytes = Buffer.from(text);
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      let entry: AuditEntry;
      try {
        entry = JSON.parse(bytes.toString('utf8')) as AuditEntry;
      } catch {
        continue;
      }
      if (JSON.stringify(entry) === text) continue;
      tried++;
      const verdict = await verify(
        copy(LOG).with(at(7), { ...(LOG[at(7)] as Extract<LogLine, { kind: 'entry' }>), entry }),
      );
      expect([bit, verdict.intact, verdict.fault?.sequence]).toEqual([bit, false, 7]);
    }
    expect(tried).toBeGreaterThan(500);
  });
});

describe('with a checkpoint that was kept elsewhere', () => {
  test('a log cut to an earlier checkpoint is found', async () => {
    const cut = LOG.slice(0, at(30) + 2);
    expect((await verify(cut)).intact).toBe(true);
    const verdict = await verify(cut, KEPT);
    expect(verdict).toMatchObject({ intact: false, fault: { detail: expect.stringContaining('was cut') } });
  });

  test('a log that is empty is found', async () => {
    expect((await verify([], KEPT)).intact).toBe(false);
  });

  test('a second log of the same length, properly signed, is found', async () => {
    const fork: LogLine[] = [];
    let end = EMPTY_LOG;
    for (let i = 1; i <= 35; i++) {
      const appended = append('acme', end, eventOf(i === 34 ? 999 : i));
      end = appended.end;
      fork.push({ kind: 'entry', entry: appended.entry, hash: end.hash });
    }
    fork.push({ kind: 'checkpoint', ...checkpointOf(end, 'acme') });
    expect((await verify(fork)).intact).toBe(true);
    expect(await verify(fork, KEPT)).toMatchObject({
      intact: false,
      fault: { detail: expect.stringContaining('of other entries') },
    });
  });

  test('another tenant’s log does not pass for this one’s', async () => {
    expect((await verify(makeLog(35, { tenant: 'other' }), KEPT)).intact).toBe(false);
  });

  test('one that this key did not sign is no anchor', async () => {
    const [forged] = checkpointsOf(makeLog(35, { by: stranger }));
    expect((await verify(LOG, forged ? [forged] : [])).intact).toBe(false);
  });

  test('the log may have grown', async () => {
    expect((await verify(LOG, checkpointsOf(makeLog(20)).slice(-1))).intact).toBe(true);
  });
});

test('an entry’s hash is no hash of a node of the tree, nor of the entry without its first byte', () => {
  const { entry } = LOG[0] as { entry: AuditEntry };
  const bare = createHash('sha256').update(JSON.stringify(entry)).digest('hex');
  expect(leafHash(entry)).not.toBe(bare);
  // RFC 9162, section 2.1.1: the hash of an empty tree.
  expect(rootOf(EMPTY_LOG)).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
});

test('the tree’s root is that of RFC 9162, for every size up to 70', () => {
  const leaves: string[] = [];
  let end = EMPTY_LOG;
  const hash = (...parts: string[]) =>
    createHash('sha256')
      .update(Buffer.from(parts.join(''), 'hex'))
      .digest('hex');
  /** As the RFC defines it, by recursion. */
  const root = (of: readonly string[]): string => {
    if (of.length === 1) return of[0] as string;
    const k = 2 ** (Math.ceil(Math.log2(of.length)) - 1);
    return hash('01', root(of.slice(0, k)), root(of.slice(k)));
  };
  for (let i = 1; i <= 70; i++) {
    const appended = append('acme', end, eventOf(i));
    end = appended.end;
    leaves.push(leafHash(appended.entry));
    expect(rootOf(end)).toBe(root(leaves));
  }
});
