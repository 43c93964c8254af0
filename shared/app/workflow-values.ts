import { SubmitCommand } from '../contract/schemas.ts';
import type { NodeCommand } from '../contract/workflow-schemas.ts';
import { type Command, isFinal } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import { type Json, resolvePointer, toText } from '../domain/json-pointer.ts';
import { LIMITS } from '../domain/limits.ts';
import type { StreamName } from '../domain/output.ts';
import type { Plan, PlannedNode, Reference, Value, Workflow } from '../domain/workflows.ts';
import type { Deps } from './deps.ts';
import { piecesOf } from './read-output.ts';
import { lastAttemptWithOutput } from './view.ts';

type Parts = Pick<Deps, 'commands' | 'output'>;
export type WorkflowPlan = Plan<NodeCommand>;

/** What the nodes of a workflow wrote, each read once for one look at it. */
export interface Outputs {
  /** As JSON; undefined where it is none, or too large. */
  answer(node: string): Promise<Json | undefined>;
  /** The items of a node with `forEach`. @throws AppError 'invalid-request', 'too-large' */
  items(node: string): Promise<readonly Json[]>;
  /**
   * A node's command with all that it refers to. What other nodes wrote comes into it as data: elements of argv, values of variables, input.
   * @param item of a node with `forEach`, its place
   * @throws AppError 'invalid-request' for what is no text or JSON, or has a NUL; 'too-large'
   */
  resolve(node: string, item: number): Promise<SubmitCommand>;
}

/** A needed node that did not run wrote nothing. */
const NOTHING = new Uint8Array();

export const makeOutputs = (deps: Parts, workflow: Workflow, plan: WorkflowPlan): Outputs => {
  const nodeOf = (name: string) => plan.nodes[name] as PlannedNode<NodeCommand>;
  const read = memo(async (key: string): Promise<readonly (Uint8Array | undefined)[]> => {
    const [name = '', stream = 'stdout'] = key.split('/');
    const ids = (workflow.nodes[name]?.runs ?? []).map(({ command }) => command);
    const known = ids.filter((id) => id !== undefined);
    const found = new Map((await deps.commands.findAll(workflow.tenant, known)).map((one) => [one.id, one]));
    const outputs: (Uint8Array | undefined)[] = [];
    for (const id of ids) {
      const command = id && found.get(id);
      outputs.push(command && (await readOutput(deps, command, stream as StreamName)));
    }
    return outputs;
  });
  const readOne = async (name: string, stream: StreamName = 'stdout'): Promise<Uint8Array> =>
    (await read(`${name}/${stream}`))[0] ?? NOTHING;
  const hasMany = (name: string): boolean => nodeOf(name)?.forEach !== undefined;

  const answer = memo(async (name: string): Promise<Json | undefined> => {
    try {
      return JSON.parse(toUtf8(await readOne(name), name)) as Json;
    } catch {
      return undefined;
    }
  });

  /** What each command of a node wrote; null where it did not succeed. */
  const texts = async (name: string, stream: StreamName, trim: boolean): Promise<readonly (string | null)[]> => {
    const { runs = [] } = workflow.nodes[name] ?? {};
    const outputs = await read(`${name}/${stream}`);
    return runs.map(({ status }, index) =>
      status === 'succeeded' ? trimmed(toUtf8(outputs[index] ?? NOTHING, name), trim) : null,
    );
  };

  const items = memo(async (name: string): Promise<readonly Json[]> => {
    const { forEach } = nodeOf(name);
    if (!forEach) return [null];
    if ('items' in forEach) return forEach.items;
    const { fromOutput, as, json = '' } = forEach;
    const given = hasMany(fromOutput)
      ? await texts(fromOutput, 'stdout', true)
      : [toUtf8(await readOne(fromOutput), fromOutput)];
    const found =
      as === 'lines' ? given.flatMap(linesOf) : listIn(hasMany(fromOutput) ? given : given[0], json, fromOutput);
    if (found.length <= LIMITS.workflowItems) return found;
    throw tooLarge(`${fromOutput} lists ${found.length} items; at most ${LIMITS.workflowItems} are taken.`);
  });

  const textOf = async (reference: Reference, node: string, item: number): Promise<string> => {
    const { prefix = '' } = reference;
    if ('fromItem' in reference) {
      const one = resolvePointer((await items(node))[item], reference.fromItem);
      if (one === undefined) throw invalid(`Item ${item} has nothing at ${JSON.stringify(reference.fromItem)}.`);
      return prefix + within(toJsonText(one), LIMITS.workflowValueBytes, `Item ${item}`);
    }
    const { fromOutput, stream = 'stdout', json, trim = true, maxBytes = LIMITS.workflowValueBytes } = reference;
    const text = hasMany(fromOutput)
      ? JSON.stringify(await texts(fromOutput, stream, trim))
      : json === undefined
        ? trimmed(toUtf8(await readOne(fromOutput, stream), fromOutput), trim)
        : pick(toUtf8(await readOne(fromOutput, stream), fromOutput), json, fromOutput);
    return prefix + within(text, maxBytes, `The ${stream} of ${fromOutput}`);
  };

  /** Exact bytes, where nothing asks for text. */
  const stdinOf = async (value: Value | undefined, node: string, item: number): Promise<Partial<SubmitCommand>> => {
    if (value === undefined) return {};
    if (typeof value === 'string') return { stdin: value };
    const isText =
      'fromItem' in value || value.json !== undefined || value.prefix !== undefined || hasMany(value.fromOutput);
    const bytes = isText
      ? Buffer.from(await textOf({ trim: false, ...value }, node, item))
      : trimmedBytes(await readOne(value.fromOutput, value.stream), value.trim ?? false);
    const most = ('maxBytes' in value ? value.maxBytes : undefined) ?? LIMITS.workflowValueBytes;
    if (bytes.length > most) throw tooLarge(`The input has more than ${most} bytes.`);
    return { stdinBase64: Buffer.from(bytes).toString('base64') };
  };

  return {
    answer,
    items,
    async resolve(node, item) {
      const { argv, env, stdin, ...rest } = nodeOf(node).command;
      const toValue = async (value: Value) => (typeof value === 'string' ? value : textOf(value, node, item));
      const body = {
        ...rest,
        labels: { ...workflow.labels, ...rest.labels },
        ...(argv ? { argv: await eachInTurn(argv, toValue) } : {}),
        ...(env ? { env: await valuesInTurn(env, toValue) } : {}),
        ...(await stdinOf(stdin, node, item)),
      };
      return parseCommand(body);
    },
  };
};

/** As a submission is checked: what came out of it may have a NUL, or be too long for an argument. */
export const parseCommand = (body: unknown): SubmitCommand => {
  const size = Buffer.byteLength(JSON.stringify(body));
  if (size > LIMITS.bodyBytes) throw tooLarge(`With all that it is given the command has ${size} bytes of JSON.`);
  const parsed = SubmitCommand.safeParse(body);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => ({
    in: 'body' as const,
    pointer: path.map((part) => `/${String(part)}`).join(''),
    detail: message,
  }));
  throw new AppError('invalid-request', faults.map((one) => `${one.pointer}: ${one.detail}`).join('; '), { faults });
};

/** More is never looked at. */
const MOST_READ = LIMITS.workflowJsonBytes;

const readOutput = async (deps: Parts, command: Command, stream: StreamName): Promise<Uint8Array> => {
  const attempt = lastAttemptWithOutput(command);
  if (!attempt || !isFinal(command.status)) return NOTHING;
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const { bytes } of piecesOf(deps, command, attempt.number, { stream, from: 0 })) {
    pieces.push(bytes);
    length += bytes.length;
    if (length > MOST_READ) throw tooLarge(`The ${stream} of ${command.id} has more than ${MOST_READ} bytes.`);
  }
  return Buffer.concat(pieces);
};

const toUtf8 = (bytes: Uint8Array, node: string): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new AppError('invalid-request', `What ${node} wrote is no text in UTF-8.`, { cause });
  }
};

/** As a shell does with what a command in it wrote. */
const trimmed = (text: string, trim: boolean): string => (trim ? text.replace(/[\r\n]+$/, '') : text);
const trimmedBytes = (bytes: Uint8Array, trim: boolean): Uint8Array => {
  let end = bytes.length;
  while (trim && end > 0 && (bytes[end - 1] === 0x0a || bytes[end - 1] === 0x0d)) end--;
  return bytes.subarray(0, end);
};

const linesOf = (text: string | null): readonly string[] => (text ?? '').split(/\r?\n/).filter((line) => line !== '');

const listIn = (given: readonly Json[] | string | null | undefined, pointer: string, node: string): readonly Json[] => {
  const value = typeof given === 'string' ? parseJson(given, node) : (given ?? null);
  const found = resolvePointer(value, pointer);
  if (Array.isArray(found)) return found as readonly Json[];
  throw invalid(`What ${node} wrote has no list at ${JSON.stringify(pointer)}.`);
};

const parseJson = (text: string, node: string): Json => {
  try {
    return JSON.parse(text) as Json;
  } catch {
    // The parser's own words quote the text.
    throw invalid(`What ${node} wrote is no JSON.`);
  }
};

const pick = (text: string, pointer: string, node: string): string => {
  const found = resolvePointer(parseJson(text, node), pointer);
  if (found === undefined) throw invalid(`What ${node} wrote has nothing at ${JSON.stringify(pointer)}.`);
  return toJsonText(found);
};

const toJsonText = (value: Json): string => {
  try {
    return toText(value);
  } catch {
    throw invalid('A value is too deeply nested.');
  }
};

const within = (text: string, most: number, what: string): string => {
  const size = Buffer.byteLength(text);
  if (size > most) throw tooLarge(`${what} has ${size} bytes; at most ${most} are taken here.`);
  return text;
};

const invalid = (detail: string): AppError => new AppError('invalid-request', detail);
const tooLarge = (detail: string): AppError => new AppError('too-large', detail);

const eachInTurn = async <T>(all: readonly T[], to: (one: T) => Promise<string>): Promise<string[]> => {
  const results: string[] = [];
  for (const one of all) results.push(await to(one));
  return results;
};

const valuesInTurn = async <T>(
  record: Readonly<Record<string, T>>,
  to: (one: T) => Promise<string>,
): Promise<Record<string, string>> => {
  const results: Record<string, string> = {};
  for (const [name, one] of Object.entries(record)) results[name] = await to(one);
  return results;
};

const memo = <T>(make: (key: string) => Promise<T>): ((key: string) => Promise<T>) => {
  const made = new Map<string, Promise<T>>();
  return (key) => {
    const known = made.get(key) ?? make(key);
    made.set(key, known);
    return known;
  };
};
