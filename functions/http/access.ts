import { createApiKey, listApiKeys, revokeApiKey, rotateApiKey } from '../../shared/app/api-keys.ts';
import { answerApproval, getApproval, listApprovals } from '../../shared/app/approvals.ts';
import { exportAudit, readAudit, readCheckpoints, readReceipt, verifyAudit } from '../../shared/app/audit.ts';
import type { Deps } from '../../shared/app/deps.ts';
import { addMember, changeMember, getMember, listMembers, removeMember } from '../../shared/app/members.ts';
import { applyPolicy, explainPolicy, getPolicy, listPolicies, restorePolicy } from '../../shared/app/policies.ts';
import { refreshSessionToken } from '../../shared/app/refresh-session-token.ts';
import { listRoles, putRole, removeRole } from '../../shared/app/roles.ts';
import { createSessionToken, listSessionTokens, revokeSessionToken } from '../../shared/app/session-tokens.ts';
import { addTenant, changeTenant, getTenant, listTenants, removeTenant } from '../../shared/app/tenants.ts';
import { whoami } from '../../shared/app/whoami.ts';
import { httpFunction } from '../../shared/http/http-function.ts';
import { json, jsonLines, noContent } from '../../shared/http/replies.ts';

/** Who may do what. */
export const access = (deps: Deps) =>
  httpFunction(deps, {
    whoami: async (_, { actor }) => json(200, whoami(actor)),
    createApiKey: async (_, { actor, body }) => json(201, await createApiKey(deps, actor, body)),
    listApiKeys: async (_, { actor, query }) => json(200, await listApiKeys(deps, actor, query)),
    rotateApiKey: async (_, { actor, params, body }) => json(201, await rotateApiKey(deps, actor, params.id, body)),
    revokeApiKey: async (_, { actor, params }) => {
      await revokeApiKey(deps, actor, params.id);
      return noContent();
    },
    createSessionToken: async (_, { actor, body }) => json(201, await createSessionToken(deps, actor, body)),
    refreshSessionToken: async (_, { body }) => json(200, await refreshSessionToken(deps, body)),
    listSessionTokens: async (_, { actor, query }) => json(200, await listSessionTokens(deps, actor, query)),
    revokeSessionToken: async (_, { actor, params }) => {
      await revokeSessionToken(deps, actor, params.id);
      return noContent();
    },
    addMember: async (_, { actor, body }) => json(201, await addMember(deps, actor, body)),
    listMembers: async (_, { actor, query }) => json(200, await listMembers(deps, actor, query)),
    getMember: async (_, { actor, params }) => json(200, await getMember(deps, actor, params.id)),
    changeMember: async (_, { actor, params, body }) => json(200, await changeMember(deps, actor, params.id, body)),
    removeMember: async (_, { actor, params }) => {
      await removeMember(deps, actor, params.id);
      return noContent();
    },
    listRoles: async (_, { actor }) => json(200, await listRoles(deps, actor)),
    putRole: async (_, { actor, params, body }) => json(200, await putRole(deps, actor, params.name, body)),
    removeRole: async (_, { actor, params }) => {
      await removeRole(deps, actor, params.name);
      return noContent();
    },
    applyPolicy: async (_, { actor, body }) => json(201, await applyPolicy(deps, actor, body)),
    listPolicies: async (_, { actor, query }) => json(200, await listPolicies(deps, actor, query)),
    getPolicy: async (_, { actor, params }) => json(200, await getPolicy(deps, actor, params.version)),
    restorePolicy: async (_, { actor, params, body }) =>
      json(201, await restorePolicy(deps, actor, params.version, body)),
    explainPolicy: async (_, { actor, body }) => json(200, await explainPolicy(deps, actor, body)),
    listApprovals: async (_, { actor, query }) => json(200, await listApprovals(deps, actor, query)),
    getApproval: async (_, { actor, params }) => json(200, await getApproval(deps, actor, params.id)),
    answerApproval: async (_, { actor, params, body }) => json(200, await answerApproval(deps, actor, params.id, body)),
    readAudit: async (_, { actor, query }) => json(200, await readAudit(deps, actor, query)),
    exportAudit: async (_, { actor, query }) => {
      const { text, next } = await exportAudit(deps, actor, query);
      return jsonLines(text, next === undefined ? {} : { 'errand-next-entry': String(next) });
    },
    readCheckpoints: async (_, { actor, query }) => json(200, await readCheckpoints(deps, actor, query)),
    verifyAudit: async (_, { actor }) => json(200, await verifyAudit(deps, actor)),
    readReceipt: async (_, { actor, params }) => json(200, await readReceipt(deps, actor, params.id)),
    addTenant: async (_, { actor, body }) => json(201, await addTenant(deps, actor, body)),
    listTenants: async (_, { actor, query }) => json(200, await listTenants(deps, actor, query)),
    getTenant: async (_, { params }) => json(200, await getTenant(deps, params.id)),
    changeTenant: async (_, { actor, params, body }) => json(200, await changeTenant(deps, actor, params.id, body)),
    removeTenant: async (_, { actor, params }) => json(202, await removeTenant(deps, actor, params.id)),
  });
