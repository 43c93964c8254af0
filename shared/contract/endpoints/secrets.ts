import * as z from 'zod';
import { LIMITS } from '../../domain/limits.ts';
import type { Endpoint } from '../endpoint.ts';
import { wholeNumber } from '../schemas.ts';
import { PutSecret, SecretList, SecretNameText, StoredSecretView } from '../secret-schemas.ts';

const secret = z.strictObject({ name: SecretNameText });

/** Named values that commands are given by reference. No answer holds one. */
export const secretEndpoints = {
  listSecrets: {
    method: 'GET',
    path: '/v1/secrets',
    function: 'secrets',
    permission: 'secrets:read',
    summary: 'List secrets by name, without their values',
    query: z.strictObject({
      limit: wholeNumber.pipe(z.int().min(1).max(LIMITS.listItems)).optional(),
      cursor: z.string().optional(),
    }),
    answers: { 200: { description: 'One page. `nextCursor` is there while more may follow.', schema: SecretList } },
  },
  putSecret: {
    method: 'PUT',
    path: '/v1/secrets/{name}',
    function: 'secrets',
    permission: 'secrets:manage',
    summary: 'Store a secret, or a new value of one',
    params: secret,
    body: PutSecret,
    answers: {
      200: { description: 'Stored durably. Commands that start from now on get it.', schema: StoredSecretView },
    },
  },
  removeSecret: {
    method: 'DELETE',
    path: '/v1/secrets/{name}',
    function: 'secrets',
    permission: 'secrets:manage',
    summary: 'Remove a secret; commands that need it will fail to start',
    params: secret,
    answers: { 204: { description: 'Done. Twice is the same as once.' } },
  },
} as const satisfies Record<string, Endpoint>;
