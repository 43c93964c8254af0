import { readFile } from 'node:fs/promises';
import { LIMITS } from '../../../shared/domain/limits.ts';
import type { Client } from '../../sdk/client.ts';
import type { Delivery, NewTrigger, Trigger, TriggerTest, TriggerWithSecret } from '../../sdk/triggers.ts';
import { asksForWalls, type CommandOptions, readPiped, toWholeSubmission, UsageError } from '../arguments.ts';
import { idByName } from '../by-name.ts';
import { type Connection, type ConnectOptions, withConnection } from '../connect.ts';
import { ago, commandLine, table } from '../render.ts';
import { plain, say, type Terminal, write } from '../terminal.ts';
import { conditionText, toCondition } from '../trigger-words.ts';

export interface TriggerOptions extends ConnectOptions {
  readonly json?: boolean;
}

/** The options that say what a trigger is, as they are on create and update. */
export interface ShapeOptions extends CommandOptions, TriggerOptions {
  readonly kind?: NewTrigger['signature']['kind'];
  readonly name?: string;
  readonly when?: string[];
  readonly input?: string;
  readonly leadingDashes?: NewTrigger['leadingDashes'];
  readonly identifiedBy?: 'body' | 'delivery';
  readonly header?: string;
  readonly deliveryHeader?: string;
  readonly secretFile?: string;
  readonly onVersion?: number;
}

/** They run nothing, so a process of their own starts no work. */
const OFFLINE = { work: false } as const;

/** Stores a trigger, and prints where deliveries go and what they are signed with. */
export const createTrigger = async (
  argv: readonly string[],
  options: ShapeOptions,
  terminal: Terminal,
): Promise<number> => {
  const shape = await toTrigger(argv, options, terminal);
  const secret = options.secretFile === undefined ? {} : { secret: await readSecret(options.secretFile) };
  return withClient({ ...options, trySandbox: asksForWalls(options) }, terminal, async ({ client, embedded }) => {
    const made = await client.createTrigger({ ...shape, ...secret });
    await write(terminal.stdout, options.json ? `${JSON.stringify(made)}\n` : madeText(client, made));
    if (embedded) say(terminal, 'stored; deliveries are taken while `errand serve` runs, and none does here');
  });
};

/** Puts another in its place. */
export const updateTrigger = async (
  given: string,
  argv: readonly string[],
  options: ShapeOptions,
  terminal: Terminal,
): Promise<number> => {
  const { onVersion } = options;
  const shape = await toTrigger(argv, options, terminal);
  return withClient({ ...options, trySandbox: asksForWalls(options) }, terminal, async ({ client }) => {
    const id = await resolve(client, given);
    const put = await client.putTrigger(id, { ...shape, ...(onVersion === undefined ? {} : { onVersion }) });
    await write(terminal.stdout, options.json ? `${JSON.stringify(put)}\n` : `version ${put.version}\n`);
  });
};

export const listTriggers = (options: TriggerOptions, terminal: Terminal): Promise<number> =>
  withClient(options, terminal, async ({ client }) => {
    const found: Trigger[] = [];
    for await (const trigger of client.listTriggers()) found.push(trigger);
    if (options.json) {
      for (const trigger of found) await write(terminal.stdout, `${JSON.stringify(trigger)}\n`);
      return;
    }
    const rows = found.map((one) => [one.id, plain(one.name), one.state, one.signature.kind, commandOf(one)]);
    await write(terminal.stdout, table(['ID', 'NAME', 'STATE', 'KIND', 'COMMAND'], rows, terminal.stdout.columns));
  });

export const showTrigger = (given: string, options: TriggerOptions, terminal: Terminal): Promise<number> =>
  withClient(options, terminal, async ({ client }) => {
    const trigger = await client.getTrigger(await resolve(client, given));
    await write(terminal.stdout, options.json ? `${JSON.stringify(trigger)}\n` : toText(client, trigger));
  });

export interface TestOptions extends TriggerOptions {
  readonly payload?: string;
  readonly event?: string;
  readonly header?: Record<string, string>;
}

/** Says what a delivery would do. */
export const testTrigger = async (given: string, options: TestOptions, terminal: Terminal): Promise<number> => {
  const { event, header: headers } = options;
  const body = await readPayload(options.payload, terminal);
  let fires = false;
  const code = await withClient(options, terminal, async ({ client }) => {
    const sample = {
      ...(event === undefined ? {} : { event }),
      ...(headers === undefined ? {} : { headers }),
      ...(body === undefined ? {} : { body }),
    };
    const test = await client.testTrigger(await resolve(client, given), sample);
    fires = test.outcome === 'submitted';
    await write(terminal.stdout, options.json ? `${JSON.stringify(test)}\n` : testText(test));
  });
  return code === 0 && !fires ? 1 : code;
};

export interface DeliveriesOptions extends TriggerOptions {
  readonly limit?: number;
}

/** The last deliveries, newest first. */
export const showDeliveries = (given: string, options: DeliveriesOptions, terminal: Terminal): Promise<number> =>
  withClient(options, terminal, async ({ client }) => {
    const { limit = 20 } = options;
    const found: Delivery[] = [];
    for await (const delivery of client.listTriggerDeliveries(await resolve(client, given))) {
      found.push(delivery);
      if (found.length >= limit) break;
    }
    if (options.json) {
      for (const delivery of found) await write(terminal.stdout, `${JSON.stringify(delivery)}\n`);
      return;
    }
    const rows = found.map(({ at, event, outcome, command, reason, detail, delivery }) => [
      ago(at),
      plain(event ?? '-'),
      outcome,
      command ?? '-',
      plain([reason, detail].filter((one) => one !== null).join(': ')),
      plain(delivery ?? '-'),
    ]);
    await write(terminal.stdout, table(['CAME', 'EVENT', 'OUTCOME', 'COMMAND', 'WHY', 'DELIVERY'], rows));
  });

export interface RotateOptions extends TriggerOptions {
  readonly secretFile?: string;
  readonly overlap?: number;
}

/** Prints the new secret. */
export const rotateSecret = async (given: string, options: RotateOptions, terminal: Terminal): Promise<number> => {
  const { overlap, secretFile } = options;
  const secret = secretFile === undefined ? {} : { secret: await readSecret(secretFile) };
  return withClient(options, terminal, async ({ client }) => {
    const rotated = await client.rotateTriggerSecret(await resolve(client, given), {
      ...secret,
      ...(overlap === undefined ? {} : { overlapSeconds: overlap }),
    });
    await write(terminal.stdout, options.json ? `${JSON.stringify(rotated)}\n` : madeText(client, rotated));
  });
};

const VERBS = { pause: 'pauseTrigger', resume: 'resumeTrigger', delete: 'removeTrigger' } as const;

/** Pauses, resumes or removes them, one after the other. */
export const changeTriggers = (
  verb: keyof typeof VERBS,
  given: readonly string[],
  options: TriggerOptions,
  terminal: Terminal,
): Promise<number> =>
  withClient(options, terminal, async ({ client }) => {
    for (const one of given) {
      const changed = await client[VERBS[verb]](await resolve(client, one));
      if (options.json && changed) await write(terminal.stdout, `${JSON.stringify(changed)}\n`);
    }
  });

const withClient = async (
  options: ConnectOptions,
  terminal: Terminal,
  use: (connection: Connection) => Promise<void>,
): Promise<number> => {
  await withConnection({ ...options, ...OFFLINE }, terminal, use);
  return 0;
};

const toTrigger = async (
  argv: readonly string[],
  options: ShapeOptions,
  terminal: Terminal,
): Promise<Omit<NewTrigger, 'secret'>> => {
  const { name, when, input, leadingDashes } = options;
  const command = await toWholeSubmission(argv, options, terminal);
  return {
    ...(name === undefined ? {} : { name }),
    ...(when ? { filters: when.map(toCondition) } : {}),
    ...(leadingDashes === undefined ? {} : { leadingDashes }),
    signature: toSignature(options),
    command: { ...command, ...(input === undefined ? {} : { stdin: input }) },
  };
};

const toSignature = ({
  kind = 'github',
  identifiedBy,
  header,
  deliveryHeader,
}: ShapeOptions): NewTrigger['signature'] => {
  if (identifiedBy !== undefined && kind !== 'github') throw new UsageError('--identified-by is of the kind github.');
  if (kind === 'shared-token') {
    return {
      kind,
      ...(header === undefined ? {} : { header }),
      ...(deliveryHeader === undefined ? {} : { deliveryHeader }),
    };
  }
  if (header !== undefined || deliveryHeader !== undefined) {
    throw new UsageError('--header and --delivery-header are of the kind shared-token.');
  }
  return kind === 'github' ? { kind, ...(identifiedBy === undefined ? {} : { identifiedBy }) } : { kind };
};

/** By its name too, where no other has it. */
const resolve = (client: Client, given: string): Promise<string> =>
  idByName(given, { word: 'trigger', prefix: 'trg_' }, client.listTriggers());

const readSecret = async (path: string): Promise<string> => (await readText(path)).replace(/\r?\n$/, '');

const readText = (path: string): Promise<string> =>
  readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    const why = cause.code === 'ENOENT' ? 'no such file' : cause.message;
    throw new Error(`The file ${path} cannot be read: ${why}.`, { cause });
  });

const readPayload = async (path: string | undefined, { stdin }: Pick<Terminal, 'stdin'>): Promise<unknown> => {
  if (path === undefined) return undefined;
  const text = path === '-' ? (await readPiped(stdin, LIMITS.bodyBytes)).toString('utf8') : await readText(path);
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError('The payload is not JSON.');
  }
};

const commandOf = ({ command }: Trigger): string =>
  commandLine({ ...command, shell: String(command['shell'] ?? '/bin/sh') });

const factsText = (facts: readonly (readonly [label: string, value: string])[]): string => {
  const width = Math.max(...facts.map(([label]) => label.length));
  return facts.map(([label, value]) => `${label.padEnd(width)}  ${value}\n`).join('');
};

const addressOf = ({ url }: Client, { path }: Trigger): string => `${url}${path}`;

const madeText = (client: Client, trigger: TriggerWithSecret): string =>
  factsText([
    ['id', trigger.id],
    ['address', addressOf(client, trigger)],
    ['secret', trigger.secret === null ? 'yours' : `${trigger.secret}  (shown only now)`],
  ]);

const toText = (client: Client, trigger: Trigger): string => {
  const { id, name, state, signature, secrets, filters, command, leadingDashes, member, version } = trigger;
  const { kind, ...more } = signature;
  const details = Object.entries(more).map(([what, value]) => `${what} ${value}`);
  return factsText([
    ['id', id],
    ['name', plain(name) || '-'],
    ['state', state],
    ['address', addressOf(client, trigger)],
    ['signature', [kind, ...details].join(', ')],
    [
      'secrets',
      secrets.map(({ addedAt, endsAt }) => (endsAt === null ? `of ${addedAt}` : `until ${endsAt}`)).join(', '),
    ],
    ['when', plain(filters.map(conditionText).join(', ')) || 'always'],
    ['command', commandOf(trigger)],
    ...Object.entries(command.env).map(([variable, template]) => ['env', `${variable}=${plain(template)}`] as const),
    ['stdin', command.stdin === null ? (command.hasStdin ? 'given' : '-') : plain(command.stdin)],
    ['dashes', leadingDashes],
    ['target', plain(command.target)],
    ['member', member],
    ['version', String(version)],
  ]);
};

const testText = ({ outcome, reason, detail, filters, command, policy }: TriggerTest): string => {
  const would = { submitted: 'would be submitted', skipped: 'would be skipped', refused: 'would be refused' }[outcome];
  const why = plain([reason, detail].filter((one) => one !== null).join(': '));
  const facts: (readonly [string, string])[] = [['outcome', why === '' ? would : `${would}: ${why}`]];
  for (const one of filters) {
    facts.push(['filter', `${one.holds ? 'holds' : 'does not hold'}: ${plain(conditionText(one))}`]);
  }
  if (command) {
    const { argv, env, stdin } = command;
    if (argv) facts.push(['argv', plain(JSON.stringify(argv))]);
    for (const [name, value] of Object.entries(env)) facts.push(['env', plain(`${name}=${JSON.stringify(value)}`)]);
    if (stdin !== null) facts.push(['stdin', plain(JSON.stringify(stdin))]);
  }
  if (policy) facts.push(['policy', plain(policy.because)]);
  return factsText(facts);
};
