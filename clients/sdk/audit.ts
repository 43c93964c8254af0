import type * as z from 'zod';
import type { AuditCheckpoints, AuditPage, AuditVerdict, ReceiptView } from '../../shared/contract/audit-schemas.ts';
import type { Json, Transport } from './transport.ts';

export type AuditRecord = z.output<typeof AuditPage>['items'][number];
export type Checkpoints = z.output<typeof AuditCheckpoints>;
export type Verdict = z.output<typeof AuditVerdict>;
export type Receipt = z.output<typeof ReceiptView>;

export interface AuditFilter {
  readonly type?: string | undefined;
  readonly actor?: string | undefined;
  readonly subject?: string | undefined;
  /** @default all there are */
  readonly limit?: number | undefined;
}

/** What was done and decided. */
export interface AuditCalls {
  /** Newest first. */
  readAudit(filter?: AuditFilter): AsyncGenerator<AuditRecord>;
  /** The whole log from an entry on, as lines of JSON, in pieces. */
  exportAudit(from?: number): AsyncGenerator<string>;
  readCheckpoints(limit?: number): Promise<Checkpoints>;
  /** As the server itself sees it. */
  verifyAudit(): Promise<Verdict>;
  /** What the server says of a command's end, signed. */
  readReceipt(id: string): Promise<Receipt>;
}

const MOST_ITEMS = 100;

export const makeAuditCalls = (json: Json, { request }: Pick<Transport, 'request'>): AuditCalls => ({
  async *readAudit({ type, actor, subject, limit = Number.POSITIVE_INFINITY } = {}) {
    let left = limit;
    for (let cursor: string | undefined; left > 0; ) {
      const query = { type, actor, subject, cursor, limit: Math.min(left, MOST_ITEMS) };
      const page: z.output<typeof AuditPage> = await json('GET', '/v1/audit', { query });
      yield* page.items;
      left -= page.items.length;
      cursor = page.nextCursor;
      if (cursor === undefined) return;
    }
  },
  async *exportAudit(from = 1) {
    for (let next: number | undefined = from; next !== undefined; ) {
      const query: { from: number } = { from: next };
      const piece: { text: string; following: string | null } = await request(
        'GET',
        '/v1/audit/export',
        { query },
        async (response) => ({ text: await response.text(), following: response.headers.get('errand-next-entry') }),
      );
      yield piece.text;
      next = piece.following === null ? undefined : Number(piece.following);
    }
  },
  readCheckpoints: (limit) => json('GET', '/v1/audit/checkpoints', { query: { limit } }),
  verifyAudit: () => json('GET', '/v1/audit/verify'),
  readReceipt: (id) => json('GET', `/v1/commands/${encodeURIComponent(id)}/receipt`),
});
