import { workflows } from '../http/workflows.ts';
import { wire } from '../wire.ts';

export const handler = workflows(wire({ notesUse: true }));
