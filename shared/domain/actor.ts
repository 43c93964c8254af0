import type { TenantId } from './ids.ts';

/** Who calls, and whose data it is. Made by authentication only, never from a request's body. */
export interface Actor {
  readonly id: string;
  readonly tenant: TenantId;
}
