import { SubmitCommand } from '../contract/schemas.ts';
import type { Fault } from '../domain/errors.ts';
import { LIMITS } from '../domain/limits.ts';
import {
  type Delivered,
  hasPlaceholder,
  isMistake,
  looksLikeTemplate,
  parseTemplate,
  renderTemplate,
} from '../domain/placeholders.ts';
import type { DeliveryReason, LeadingDashes } from '../domain/triggers.ts';
import { decidesWhatRuns, setsVariable } from '../policy/variables.ts';
import { whyCode } from './code-places.ts';

/** What keeps a template from being one: values may stand in arguments, in the environment and in input, and nowhere else. */
export const faultsOfTemplate = (command: SubmitCommand): readonly Fault[] => {
  const { argv = [], env = {}, stdin, ...others } = command;
  const rendered: readonly (readonly [pointer: string, text: string])[] = [
    ...argv.map((text, index) => [`/argv/${index}`, text] as const),
    ...Object.entries(env).map(([name, text]) => [`/env/${name}`, text] as const),
    ...(stdin === undefined ? [] : [['/stdin', stdin] as const]),
  ];
  const faults = rendered.flatMap(([pointer, text]): Fault[] => {
    const parts = parseTemplate(text);
    return isMistake(parts) ? [{ in: 'body', pointer, detail: parts.mistake }] : [];
  });
  if (stdin === 'open')
    faults.push({ in: 'body', pointer: '/stdin', detail: 'must not be open: nobody is there to write it' });
  if (command.terminal)
    faults.push({ in: 'body', pointer: '/terminal', detail: 'must not be there: nobody is there to use it' });
  if (faults.length > 0) return faults;
  const [program = ''] = argv;
  if (hasPlaceholder(program)) {
    faults.push({ in: 'body', pointer: '/argv/0', detail: 'the program must not be a value of a delivery' });
  } else {
    const why = whyCode(argv.map((text) => (hasPlaceholder(text) ? undefined : plainText(text))));
    if (why !== undefined) {
      const detail = `${why}. Pass it in env, or behind the code as its argument: sh -c 'echo "$1"' sh '{{ body.x }}'`;
      faults.push({ in: 'body', pointer: '/argv', detail });
    }
  }
  for (const [name, text] of Object.entries(env)) {
    if (!decidesWhatRuns(name) || !hasPlaceholder(text)) continue;
    faults.push({ in: 'body', pointer: `/env/${name}`, detail: `must not be a value: ${setsVariable(name)}` });
  }
  return [...faults, ...faultsElsewhere(others)];
};

/** Of a template without values. */
const plainText = (text: string): string => {
  const parts = parseTemplate(text);
  return isMistake(parts) ? text : parts.join('');
};

const faultsElsewhere = (value: unknown, pointer = ''): readonly Fault[] => {
  if (typeof value === 'string') {
    if (!looksLikeTemplate(value)) return [];
    const inScript = pointer === '/script' ? ': a script reads them from env, as "$NAME"' : '';
    return [{ in: 'body', pointer, detail: `must not hold values of a delivery${inScript}` }];
  }
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    faultsElsewhere(inner, `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`),
  );
};

export type Rendered =
  | { readonly ok: true; readonly command: SubmitCommand }
  /** `detail` says where, and never what: values are anybody's. */
  | { readonly ok: false; readonly reason: DeliveryReason; readonly detail: string };

const RAW = /^\s*\{\{\s*raw\s*\}\}\s*$/;

/** The command with the values of a delivery: each stays the one argument, variable or input that its template stands for. */
export const renderCommand = (
  template: SubmitCommand,
  delivered: Delivered,
  leadingDashes: LeadingDashes,
): Rendered => {
  const { argv, env, stdin, ...others } = template;
  try {
    const command = {
      ...others,
      ...(argv ? { argv: argv.map((_, index) => renderArgument(argv, index, delivered, leadingDashes)) } : {}),
      ...(env
        ? {
            env: Object.fromEntries(
              Object.entries(env).map(([name, text]) => [name, render(`/env/${name}`, text, delivered)]),
            ),
          }
        : {}),
      ...(stdin === undefined ? {} : renderStdin(stdin, delivered)),
    };
    // As if it had been submitted: sizes, and what no process can be given, such as a NUL.
    const checked = SubmitCommand.safeParse(command);
    if (!checked.success) {
      const [issue] = checked.error.issues;
      throw new Refusal('invalid-command', `/${issue?.path.join('/')}: ${issue?.message}`);
    }
    if (Buffer.byteLength(JSON.stringify(command)) > LIMITS.bodyBytes) {
      throw new Refusal('invalid-command', `With its values it has more than ${LIMITS.bodyBytes} bytes of JSON.`);
    }
    return { ok: true, command: checked.data };
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, reason: error.reason, detail: error.message };
    // JSON that is nested deeper than it can be written.
    if (error instanceof RangeError)
      return { ok: false, reason: 'invalid-command', detail: 'A value is nested too deep.' };
    throw error;
  }
};

/** Ends a rendering. */
class Refusal extends Error {
  readonly reason: DeliveryReason;

  constructor(reason: DeliveryReason, detail: string) {
    super(detail);
    this.reason = reason;
  }
}

const render = (pointer: string, text: string, delivered: Delivered): string => {
  const parts = parseTemplate(text);
  if (isMistake(parts)) throw new Refusal('invalid-command', `${pointer}: ${parts.mistake}`);
  const rendered = renderTemplate(parts, delivered);
  if ('text' in rendered) return rendered.text;
  throw new Refusal('missing-value', `${pointer}: there is no ${rendered.missing.text}, and no default for it.`);
};

const renderArgument = (
  argv: readonly string[],
  index: number,
  delivered: Delivered,
  leadingDashes: LeadingDashes,
): string => {
  const template = argv[index] ?? '';
  const rendered = render(`/argv/${index}`, template, delivered);
  // Behind `--` nothing is an option, and what begins with text of the template is what its author meant.
  const isSafe = leadingDashes === 'allow' || !template.startsWith('{{') || argv.slice(0, index).includes('--');
  if (isSafe || !rendered.startsWith('-')) return rendered;
  const detail = `/argv/${index}: the value begins with a dash, and would be taken for an option. Put "--" before it in the template.`;
  throw new Refusal('leading-dash', detail);
};

/** The body itself goes in byte by byte, whatever it is. */
const renderStdin = (stdin: string, delivered: Delivered): Pick<SubmitCommand, 'stdin' | 'stdinBase64'> =>
  RAW.test(stdin)
    ? { stdinBase64: Buffer.from(delivered.raw).toString('base64') }
    : // As bytes: a text could be the word that leaves input open.
      { stdinBase64: Buffer.from(render('/stdin', stdin, delivered), 'utf8').toString('base64') };
