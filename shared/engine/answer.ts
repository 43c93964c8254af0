import type { Command } from '../domain/command.ts';
import type { Step } from './types.ts';

/** What was seen changes nothing. */
export const stay = (command: Command): Step => ({ next: command, effects: [] });

/** The command is another from now on, and nothing has to be done. */
export const to = (next: Command): Step => ({ next, effects: [] });
