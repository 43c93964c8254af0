import * as z from 'zod';
import { SECRET_NAME } from '../domain/secrets.ts';

export const SecretNameText = z
  .string()
  .regex(SECRET_NAME, 'must be letters, digits and . _ - in between, at most 63 characters')
  .meta({ id: 'SecretName', description: 'Of a secret, within its tenant.' });

export const PutSecret = z
  .strictObject({
    value: z
      .string()
      .refine((text) => text.isWellFormed(), { error: 'must be well-formed Unicode' })
      .describe('The value as text.')
      .optional(),
    valueBase64: z.base64().describe('Or as bytes.').optional(),
  })
  .refine((body) => (body.value === undefined) !== (body.valueBase64 === undefined), {
    error: 'exactly one of value and valueBase64 must be given',
    path: ['value'],
  })
  .meta({ id: 'PutSecret' });

const Time = z.iso.datetime();
const fields = {
  name: SecretNameText,
  version: z.int().min(1).describe('Each new value has the next.'),
  bytes: z.int().min(1).describe('How long the value is.'),
  createdAt: Time,
  updatedAt: Time,
  updatedBy: z.string().describe('The member that stored the present value.'),
};

export const SecretView = z
  .object(fields)
  .meta({ id: 'Secret', description: 'What is known of a secret. Its value is never shown.' });

export const StoredSecretView = z
  .object({
    ...fields,
    warnings: z.array(z.string()).describe('What to know of this value, such as that it is not masked.'),
  })
  .meta({ id: 'StoredSecret' });

export const SecretList = z
  .object({ items: z.array(SecretView), nextCursor: z.string().optional() })
  .meta({ id: 'SecretList' });
