import { triggers } from '../http/triggers.ts';
import { wire } from '../wire.ts';

export const handler = triggers(wire({ notesUse: true }));
