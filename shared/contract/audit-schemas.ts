import * as z from 'zod';
import { AUDIT_TYPES } from '../domain/audit.ts';
import { ResultView } from './schemas.ts';

const Time = z.iso.datetime();

const Entry = z
  .object({
    v: z.literal(1),
    tenant: z.string(),
    sequence: z.int().min(1).describe('From 1, without a gap.'),
    type: z.enum(AUDIT_TYPES),
    at: Time.describe('When it happened.'),
    actor: z.object({
      id: z.string(),
      role: z.string().optional(),
      credential: z.object({ kind: z.string(), id: z.string().optional() }).optional(),
    }),
    subject: z.string().describe('What it was about, by id or name.'),
    details: z.record(z.string(), z.unknown()),
    prev: z.string().describe('The hash of the entry before, in hex; of the first: 64 zeros.'),
  })
  .meta({ id: 'AuditEntry', description: 'Its hash is SHA-256 over a zero byte and its canonical JSON (RFC 8785).' });

export const AuditPage = z
  .object({ items: z.array(z.object({ entry: Entry, hash: z.string() })), nextCursor: z.string().optional() })
  .meta({ id: 'AuditPage' });

const SignedCheckpointView = z
  .object({
    checkpoint: z.object({
      v: z.literal(1),
      tenant: z.string(),
      size: z.int().min(1).describe('How many entries there were.'),
      hash: z.string().describe('Of the last one.'),
      root: z.string().describe('Of the Merkle tree over all of them (RFC 9162).'),
      at: Time,
    }),
    key: z.string().describe('Names the public key: the first 16 hex digits of its SHA-256.'),
    signature: z.string().describe('Ed25519 over the canonical JSON of `checkpoint`, in base 64.'),
  })
  .meta({ id: 'SignedCheckpoint' });

export const AuditCheckpoints = z
  .object({
    items: z.array(SignedCheckpointView).describe('The last one first.'),
    publicKey: z.string().describe('SPKI, in base 64.'),
  })
  .meta({ id: 'AuditCheckpoints' });

export const AuditVerdict = z
  .object({
    intact: z.boolean(),
    tenant: z.string().nullable(),
    entries: z.int(),
    checkpoints: z.int(),
    root: z.string().nullable(),
    publicKey: z.string(),
    fault: z.object({ line: z.int(), sequence: z.int(), detail: z.string() }).nullable(),
  })
  .meta({ id: 'AuditVerdict' });

export const ReceiptView = z
  .object({
    receipt: z.object({
      v: z.literal(1),
      tenant: z.string(),
      id: z.string(),
      commandHash: z.string().describe('SHA-256 over the canonical JSON of all that was asked for.'),
      submittedBy: z.string(),
      submittedAt: Time,
      endedAt: Time,
      status: z.string(),
      result: ResultView.nullable(),
    }),
    key: z.string(),
    signature: z.string().describe('Ed25519 over the canonical JSON of `receipt`, in base 64.'),
    publicKey: z.string().describe('SPKI, in base 64.'),
  })
  .meta({ id: 'Receipt' });

export const AuditTypeText = z.enum(AUDIT_TYPES);
