import type { CommandSpec } from '../domain/command.ts';
import { collectFindings, type Reading } from './invocation.ts';
import { readScript } from './script.ts';
import { decidesWhatRuns, setsVariable } from './variables.ts';
import { type Reader, readInvocation } from './wrappers.ts';

const reader: Reader = {
  argv: (argv, into) => readInvocation(argv, into, reader),
  script: (text, shell, into) => readScript(text, shell ?? 'sh', into, reader),
};

/**
 * What a command runs: its program, those that this runs in turn where that is its purpose (`env`, `xargs`, `sh -c`), and all that its script
 * calls. What cannot be told is said, never guessed. It says nothing of what the programs themselves do.
 */
export const readCommand = ({
  argv,
  script = '',
  shell,
  env,
  secrets = {},
}: Pick<CommandSpec, 'argv' | 'script' | 'shell' | 'env' | 'secrets'>): Reading =>
  collectFindings((into) => {
    for (const name of [...Object.keys(env), ...Object.keys(secrets)]) {
      if (decidesWhatRuns(name)) into.unreadable(setsVariable(name));
    }
    if (argv) reader.argv(argv, into);
    else reader.script(script, shell, into);
  });
