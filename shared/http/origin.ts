import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import type { Access } from '../access/access.ts';
import { endpoints } from '../contract/endpoints.ts';
import type { AppError } from '../domain/errors.ts';

/** In front of a function URL, the name under which the API is called: a proxy's request says only the URL's own. */
const HOST_HEADER = 'errand-host';

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/;

/** Beyond loopback it is TLS that callers speak: here, or with a proxy before. */
export const originOf = ({ headers, requestContext }: APIGatewayProxyEventV2): string => {
  const host = headers[HOST_HEADER] ?? requestContext.domainName;
  return `${LOOPBACK.test(host) && headers['x-forwarded-proto'] !== 'https' ? 'http' : 'https'}://${host}`;
};

/** To one who shows no good credential: where to get one (RFC 9728, section 5.1), if anywhere. */
export const challengeOf = (
  { takesTokens }: Access,
  error: AppError,
  event: APIGatewayProxyEventV2,
): Record<string, string> => {
  if (error.code !== 'unauthenticated' || !takesTokens || event.rawPath !== endpoints.callMcp.path) return {};
  const url = `${originOf(event)}${endpoints.describeProtectedMcp.path}`;
  return /^[\x21\x23-\x7e]+$/.test(url) ? { 'www-authenticate': `Bearer resource_metadata="${url}"` } : {};
};
