import type { Command } from 'commander';

type Shell = 'bash' | 'zsh' | 'fish';

interface Words {
  readonly name: string;
  readonly description: string;
  readonly options: readonly { readonly flag: string; readonly description: string }[];
}

/** A completion script, made from the program's own commands and options. */
export const completion = (program: Command, shell: Shell): string => {
  const commands = program.commands.map(toWords);
  return { bash, zsh, fish }[shell](commands, toWords(program).options);
};

const toWords = (command: Command): Words => ({
  name: command.name(),
  description: command.summary() || command.description(),
  options: command.options.flatMap(({ long, description }) => (long ? [{ flag: long, description }] : [])),
});

const flags = (options: Words['options']): string => options.map(({ flag }) => flag).join(' ');

const bash = (commands: readonly Words[], global: Words['options']): string => `# errand completion for bash
_errand() {
  local word="\${COMP_WORDS[COMP_CWORD]}" command="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ "\${COMP_WORDS[i]}" == -- ]] && return
    [[ -z "$command" && "\${COMP_WORDS[i]}" != -* ]] && command="\${COMP_WORDS[i]}"
  done
  case "$command" in
${commands.map(({ name, options }) => `    ${name}) COMPREPLY=($(compgen -W "${flags(options)}" -- "$word")) ;;`).join('\n')}
    "") COMPREPLY=($(compgen -W "${commands.map(({ name }) => name).join(' ')} ${flags(global)}" -- "$word")) ;;
  esac
}
complete -o default -F _errand errand
`;

const zsh = (commands: readonly Words[], global: Words['options']): string => `#compdef errand
# errand completion for zsh
_errand() {
  local command="\${words[(r)(${commands.map(({ name }) => name).join('|')})]}"
  case "$command" in
${commands.map(({ name, options }) => `    ${name}) compadd -- ${flags(options)} ;;`).join('\n')}
    *) compadd -- ${commands.map(({ name }) => name).join(' ')} ${flags(global)} ;;
  esac
}
compdef _errand errand
`;

const fish = (commands: readonly Words[], global: Words['options']): string =>
  [
    '# errand completion for fish',
    ...global.map(
      ({ flag, description }) =>
        `complete -c errand -n __fish_use_subcommand -l ${flag.slice(2)} -d ${quote(description)}`,
    ),
    ...commands.flatMap(({ name, description, options }) => [
      `complete -c errand -n __fish_use_subcommand -f -a ${name} -d ${quote(description)}`,
      ...options.map(
        (option) =>
          `complete -c errand -n '__fish_seen_subcommand_from ${name}' -l ${option.flag.slice(2)} -d ${quote(option.description)}`,
      ),
    ]),
    '',
  ].join('\n');

const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
