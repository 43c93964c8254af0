import { expect, test } from 'vitest';
import { groupNameOf, heldRunOf } from '../../../../shared/providers/azure-container-instances/group.ts';
import { commandId } from '../../../support/commands.ts';

const key = `${commandId(7)}-10` as const;
const own = key.replaceAll('_', '-');

test.for<[string, string]>([
  ['errand', `errand-${own}`],
  ['-errand', `errand-${own}`],
  ['a'.repeat(29), `${'a'.repeat(29)}-${own}`],
  // Azure takes 63 characters.
  ['a'.repeat(30), own],
  ['a'.repeat(32), own],
])('the group of an attempt in the installation %s is named %s', ([installation, name]) => {
  expect(groupNameOf(installation, { key })).toBe(name);
  expect(name).toMatch(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
});

const held = (tags?: Record<string, string>) =>
  heldRunOf({ containers: [], osType: 'Linux', ...(tags ? { tags } : {}) }, 'errand');

test.for<[string, Record<string, string> | undefined]>([
  ['without tags', undefined],
  ['of nobody', { 'errand-attempt': `default/${key}` }],
  ['of another installation', { 'errand-installation': 'errand-2', 'errand-attempt': `default/${key}` }],
  ['without an attempt', { 'errand-installation': 'errand' }],
  ['with an attempt that is none', { 'errand-installation': 'errand', 'errand-attempt': `default/${commandId(7)}` }],
  ['with attempt 0', { 'errand-installation': 'errand', 'errand-attempt': `default/${commandId(7)}-0` }],
  ['with a tenant that is none', { 'errand-installation': 'errand', 'errand-attempt': `/${key}` }],
])('a group %s is not ours', ([, tags]) => {
  expect(held(tags)).toBeUndefined();
});

test.for<[string | undefined, number | undefined]>([
  ['2030-01-01T00:00:00Z', Date.parse('2030-01-01T00:00:00Z')],
  ['someday', undefined],
  [undefined, undefined],
])('a group made at %s is ours, since %s', ([created, createdAt]) => {
  const tags = { 'errand-installation': 'errand', 'errand-attempt': `default/${key}` };
  expect(held(created === undefined ? tags : { ...tags, 'errand-created': created })).toMatchObject({
    key,
    tenant: 'default',
    createdAt,
  });
});
