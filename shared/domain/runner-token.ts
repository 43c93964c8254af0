import { COMMAND_ID, type CommandId, type TenantId, toTenantId } from './ids.ts';

/** The right of a runner to one attempt. It is good as long as the attempt holds this ticket. */
export interface RunnerRight {
  readonly tenant: TenantId;
  readonly id: CommandId;
  readonly attempt: number;
  readonly ticket: string;
}

/** The right as text that a header and an environment can carry. Secret, since it holds the ticket. */
export const toRunnerToken = ({ tenant, id, attempt, ticket }: RunnerRight): string =>
  `${tenant}.${id}.${attempt}.${ticket}`;

/** Undefined when it is no such token. Whether it is good, the store knows. */
export const parseRunnerToken = (token: string): RunnerRight | undefined => {
  const [tenant = '', id = '', number = '', ticket = '', ...more] = token.split('.');
  if (more.length > 0 || !COMMAND_ID.test(id) || !/^[1-9]\d{0,5}$/.test(number)) return undefined;
  if (!/^[0-9a-f]{32}$/.test(ticket)) return undefined;
  try {
    return { tenant: toTenantId(tenant), id: id as CommandId, attempt: Number(number), ticket };
  } catch {
    return undefined;
  }
};

/** What a runner says that it can: it gives a command its secrets, and masks them in all that it tells. */
export const TAKES_SECRETS = 'secrets';
