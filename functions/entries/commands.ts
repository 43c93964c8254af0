import { commands } from '../http/commands.ts';
import { wire } from '../wire.ts';

export const handler = commands(wire({ notesUse: true }));
