import type { Access } from '../access/access.ts';
import { endpoints } from '../contract/endpoints.ts';
import { AppError } from '../domain/errors.ts';
import type { Handlers, Reply } from './http-function.ts';
import { json } from './replies.ts';

/** @throws AppError 'not-found' where no issuer's tokens are good */
const describeResource = async (access: Access, resource: string): Promise<Reply> => {
  const issuers = await access.issuers();
  if (issuers.length === 0) throw new AppError('not-found', 'No access tokens are taken here. Use an API key.');
  return json(200, {
    resource,
    authorization_servers: [...issuers],
    bearer_methods_supported: ['header'],
    resource_name: 'Errand',
  });
};

/** RFC 9728, for each function that may be asked under a name of its own. */
export const protectedResource = {
  describeProtected: ({ access }, { origin }) => describeResource(access, origin),
  describeProtectedMcp: ({ access }, { origin }) => describeResource(access, `${origin}${endpoints.callMcp.path}`),
} as const satisfies Handlers;
