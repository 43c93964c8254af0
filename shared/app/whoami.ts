import type * as z from 'zod';
import type { Whoami } from '../contract/access-schemas.ts';
import type { Actor } from '../domain/actor.ts';
import { toScopeView } from './scope.ts';

/** The caller as it sees itself. */
export const whoami = ({ id, tenant, role, permissions, scope, credential }: Actor): z.output<typeof Whoami> => ({
  id,
  tenant,
  role,
  permissions: [...permissions],
  scope: toScopeView(scope),
  credential: { kind: credential.kind, id: ('id' in credential ? credential.id : undefined) ?? null },
});
