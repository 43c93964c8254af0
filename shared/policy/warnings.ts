import type { Policy, PolicyRule } from '../domain/policy.ts';
import { asksForPrograms } from './decide.ts';
import { isInterpreter } from './wrappers.ts';

/** What to know of a policy before relying on it: it is as it says, and yet less than it may seem. */
export const warningsOf = ({ rules, default: otherwise }: Policy): string[] => [
  ...rules.flatMap(allowsAnything),
  ...(otherwise === 'allow' && rules.some((rule) => rule.effect !== 'allow' && asksForPrograms(rule))
    ? [
        'The default is allow: what is denied by name can still be done by other programs. A list of what is allowed is a wall; a list of what is denied is a hint.',
      ]
    : []),
];

const allowsAnything = ({ name, effect, programs = [], everyArgument }: PolicyRule): string[] => {
  if (effect !== 'allow' || everyArgument) return [];
  return programs
    .filter((program) => isInterpreter(program.slice(program.lastIndexOf('/') + 1)))
    .map(
      (program) =>
        `The rule ${name} allows ${program}, which can run any other program. Limit its arguments with everyArgument.`,
    );
};
