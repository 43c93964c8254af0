import type { Endpoint } from '../endpoint.ts';
import { UsageView } from '../usage-schemas.ts';

export const usageEndpoints = {
  readUsage: {
    method: 'GET',
    path: '/v1/usage',
    function: 'commands',
    permission: 'usage:read',
    summary: 'What the tenant used today and before, and its limits',
    answers: { 200: { description: 'Of the caller’s tenant.', schema: UsageView } },
  },
} as const satisfies Record<string, Endpoint>;
