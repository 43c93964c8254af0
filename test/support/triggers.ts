import type * as z from 'zod';
import type { TriggerView, TriggerWithSecret } from '../../shared/contract/trigger-schemas.ts';
import { toTenantId } from '../../shared/domain/ids.ts';
import type { Trigger, TriggerId } from '../../shared/domain/triggers.ts';
import { T0 } from './commands.ts';

export type View = z.output<typeof TriggerView>;
export type WithSecret = z.output<typeof TriggerWithSecret>;

export const triggerId = (n = 1): TriggerId => `trg_${String(n).padStart(16, '0')}` as TriggerId;

/** GitHub's, made at T0. */
export const aTrigger = (over: Partial<Trigger> = {}): Trigger => ({
  id: triggerId(),
  tenant: toTenantId('default'),
  name: '',
  version: 1,
  signature: { kind: 'github', identifiedBy: 'body' },
  secrets: [{ value: '0'.repeat(32), addedAt: T0 }],
  filters: [],
  leadingDashes: 'refuse',
  template: { argv: ['true'] },
  spec: { target: 'local', labels: {} },
  member: 'owner',
  scope: {},
  paused: false,
  createdAt: T0,
  createdBy: 'owner',
  updatedAt: T0,
  ...over,
});
