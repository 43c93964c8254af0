import type { NewTrigger } from '../sdk/triggers.ts';
import { UsageError } from './arguments.ts';

type Condition = NonNullable<NewTrigger['filters']>[number];

/** A path, up to an operator that is not within the quotes of a name. */
const FORM = /^(!?)((?:"(?:[^"\\]|\\.)*"|[^=~"])+)(?:([=~])(.*))?$/s;

/**
 * A condition as it is written on a command line: `PATH=VALUE`, `PATH~GLOB`, `PATH` for what is there, each with `!` before it for the opposite;
 * or the JSON of one. A value that is JSON is that (`5`, `true`, `"5"`), any other is text.
 * @throws UsageError
 */
export const toCondition = (text: string): Condition => {
  if (text.startsWith('{')) return parseWhole(text);
  const [, not = '', path = '', operator, value = ''] = FORM.exec(text) ?? [];
  const on = path.trim();
  if (on === '' || on.startsWith('!'))
    throw new UsageError(`Give --when as PATH=VALUE, PATH~GLOB or PATH, not ${JSON.stringify(text)}.`);
  const opposite = not === '' ? {} : { not: true as const };
  if (operator === '=') return { on, equals: toScalar(value), ...opposite };
  return operator === '~' ? { on, glob: [value], ...opposite } : { on, exists: true, ...opposite };
};

const parseWhole = (text: string): Condition => {
  try {
    return JSON.parse(text) as Condition;
  } catch {
    throw new UsageError('What --when is given begins as JSON, and is none.');
  }
};

const toScalar = (text: string): NonNullable<Condition['equals']> | null => {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? text : (value as string | number | boolean | null);
  } catch {
    return text;
  }
};

/** In the words of a command line again. */
export const conditionText = (condition: { readonly on: string; readonly [name: string]: unknown }): string => {
  const { on, equals, in: among, glob, not } = condition;
  const before = not === true ? '!' : '';
  if (equals !== undefined) return `${before}${on}=${typeof equals === 'string' ? equals : JSON.stringify(equals)}`;
  if (Array.isArray(glob)) return `${before}${on}~${glob.join(' or ')}`;
  if (Array.isArray(among)) return `${before}${on} in ${JSON.stringify(among)}`;
  return `${before}${on}`;
};
