import { access } from '../http/access.ts';
import { wire } from '../wire.ts';

export const handler = access(wire({ notesUse: true }));
