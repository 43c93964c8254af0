import { ArmError } from './arm.ts';
import { GroupRequest } from './request-schema.ts';

/** @throws ArmError with the cloud's words for what is wrong with a group that is to be made */
export const toGroupRequest = (name: string, body: string): GroupRequest => {
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)) {
    throw new ArmError(400, 'InvalidContainerGroupName', `The container group name '${name}' is invalid.`);
  }
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw new ArmError(400, 'InvalidRequestContent', 'The request content was invalid and could not be deserialized.');
  }
  const parsed = GroupRequest.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ArmError(
    400,
    'InvalidRequestContent',
    `The request content was invalid: ${issue?.path.join('.')} ${issue?.message}`,
  );
};
