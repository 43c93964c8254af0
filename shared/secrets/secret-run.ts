import type { StreamName } from '../domain/output.ts';
import { isVariableText } from '../domain/secrets.ts';
import type { Run, RunIo, StartOutcome } from '../providers/provider.ts';
import { makeMask } from './mask.ts';

/** The values of a command's secrets, by the variables that hold them. */
export type SecretValues = Readonly<Record<string, Uint8Array>>;

/** What a variable holds: the value itself, or its base 64 where no environment can carry it. */
const toVariable = (value: Uint8Array): string =>
  Buffer.from(value).toString(isVariableText(value) ? 'utf8' : 'base64');

/**
 * Runs a command with secrets in its environment. Nothing of them is in what `io` is told nor in the outcome, which says how
 * often one was masked.
 * @throws what `start` does, without its secrets
 */
export const runWithSecrets = async (
  start: (run: Run, io: RunIo) => Promise<StartOutcome>,
  run: Run,
  io: RunIo,
  secrets: SecretValues,
): Promise<StartOutcome> => {
  const variables = Object.fromEntries(Object.entries(secrets).map(([name, value]) => [name, toVariable(value)]));
  // A value that arrives as base 64 is printed as that, and as base 64 of that.
  const mask = makeMask([...Object.values(secrets), ...Object.values(variables).map((text) => Buffer.from(text))]);
  const streams = mask && { stdout: mask.open(), stderr: mask.open() };
  const told = async (stream: StreamName, bytes: Uint8Array | undefined): Promise<void> => {
    if (bytes && bytes.length > 0) await io.output(stream, bytes);
  };
  const output: RunIo['output'] = streams ? (stream, bytes) => told(stream, streams[stream].write(bytes)) : io.output;
  const hide = (text: string): string => mask?.text(text) ?? text;
  let outcome: StartOutcome;
  try {
    outcome = await start({ ...run, env: { ...run.env, ...variables } }, { ...io, output });
  } catch (error) {
    // Neither its cause nor its stack, which may quote what it was given.
    throw new Error(hide(error instanceof Error ? error.message : String(error)));
  }
  await told('stdout', streams?.stdout.end());
  await told('stderr', streams?.stderr.end());
  const redactions = streams ? streams.stdout.redactions() + streams.stderr.redactions() : 0;
  return withoutSecrets(outcome, hide, redactions);
};

const withoutSecrets = (outcome: StartOutcome, hide: (text: string) => string, redactions: number): StartOutcome => {
  switch (outcome.kind) {
    case 'ended': {
      const { detail, ...exit } = outcome.exit;
      return {
        kind: 'ended',
        exit: { ...exit, ...(detail === undefined ? {} : { detail: hide(detail) }), redactions },
      };
    }
    case 'rejected':
      return { ...outcome, fault: { ...outcome.fault, detail: hide(outcome.fault.detail) } };
    case 'unheard':
    case 'lost':
      return { ...outcome, detail: hide(outcome.detail) };
    default:
      return outcome;
  }
};
