import * as z from 'zod';
import { LIMITS } from '../../domain/limits.ts';
import { AuditCheckpoints, AuditPage, AuditTypeText, AuditVerdict, ReceiptView } from '../audit-schemas.ts';
import type { Endpoint } from '../endpoint.ts';
import { CommandIdText, wholeNumber } from '../schemas.ts';

const limit = wholeNumber.pipe(z.int().min(1).max(LIMITS.listItems)).optional();

/** What was done and decided, and that the record of it is whole. */
export const auditEndpoints = {
  readAudit: {
    method: 'GET',
    path: '/v1/audit',
    function: 'access',
    permission: 'audit:read',
    summary: 'Read the audit log, newest first',
    query: z.strictObject({
      limit,
      cursor: z.string().optional(),
      type: AuditTypeText.optional(),
      actor: z.string().max(LIMITS.nameCharacters).optional(),
      subject: z.string().max(LIMITS.nameCharacters).optional(),
    }),
    answers: {
      200: {
        description: 'One page. It may hold fewer than `limit`, even none, and still be followed by another.',
        schema: AuditPage,
      },
    },
  },
  exportAudit: {
    method: 'GET',
    path: '/v1/audit/export',
    function: 'access',
    permission: 'audit:read',
    summary: 'Take the audit log away, from an entry on up to the last checkpoint, with its checkpoints',
    query: z.strictObject({ from: wholeNumber.pipe(z.int().min(1)).optional() }),
    answers: {
      200: {
        description: 'A line of JSON each. With a header Errand-Next-Entry more follows, from that entry on.',
        mediaTypes: ['application/x-ndjson'],
      },
    },
  },
  readCheckpoints: {
    method: 'GET',
    path: '/v1/audit/checkpoints',
    function: 'access',
    permission: 'audit:read',
    summary: 'Read the last checkpoints, to be kept elsewhere, and the key that they are signed by',
    query: z.strictObject({ limit }),
    answers: { 200: { description: 'The last one first.', schema: AuditCheckpoints } },
  },
  verifyAudit: {
    method: 'GET',
    path: '/v1/audit/verify',
    function: 'access',
    permission: 'audit:read',
    summary: 'Verify the audit log where it lies; errand audit verify does it without trusting the server',
    answers: { 200: { description: 'Whether it is whole, and where not.', schema: AuditVerdict } },
  },
  readReceipt: {
    method: 'GET',
    path: '/v1/commands/{id}/receipt',
    function: 'access',
    permission: 'commands:read',
    summary: 'A signed statement of how a command ended',
    params: z.strictObject({ id: CommandIdText }),
    answers: { 200: { description: 'The receipt.', schema: ReceiptView } },
  },
} as const satisfies Record<string, Endpoint>;
