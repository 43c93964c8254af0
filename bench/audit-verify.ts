import { append, EMPTY_LOG, rootOf } from '../shared/audit/chain.ts';
import { makeSigner, signCheckpoint } from '../shared/audit/signing.ts';
import { type LogLine, verifyLog } from '../shared/audit/verify.ts';

/* How long a log takes to be verified, as it does from a file: lines of JSON in, a verdict out. */

const ENTRIES = 1_000_000;
const CHECKPOINT_EVERY = 10_000;

const signer = makeSigner('of the bench');
const lines: string[] = [];
let end = EMPTY_LOG;
for (let i = 1; i <= ENTRIES; i++) {
  const appended = append('acme', end, {
    type: 'command.submitted',
    at: '2026-11-24T00:00:00.000Z',
    actor: { id: 'mem_0000000000000001', role: 'operator', credential: { kind: 'api-key', id: '0000000000000001' } },
    subject: `cmd_${i}`,
    details: { commandHash: end.hash, target: 'local', isolation: 'none' },
  });
  end = appended.end;
  lines.push(JSON.stringify({ kind: 'entry', entry: appended.entry, hash: end.hash }));
  if (i % CHECKPOINT_EVERY > 0) continue;
  const checkpoint = {
    v: 1,
    tenant: 'acme',
    size: i,
    hash: end.hash,
    root: rootOf(end),
    at: '2026-11-24T00:00:00.000Z',
  } as const;
  lines.push(JSON.stringify({ kind: 'checkpoint', ...signCheckpoint(signer, checkpoint) }));
}

async function* parsed(): AsyncGenerator<LogLine> {
  for (const line of lines) yield JSON.parse(line) as LogLine;
}

const start = performance.now();
const verdict = await verifyLog(parsed(), { publicKey: signer.publicKey });
const seconds = (performance.now() - start) / 1_000;
process.stdout.write(`${verdict.entries} entries, intact: ${verdict.intact}, ${seconds.toFixed(1)} s\n`);
