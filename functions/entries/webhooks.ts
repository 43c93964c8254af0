import { webhooks } from '../http/webhooks.ts';
import { wire } from '../wire.ts';

export const handler = webhooks(wire({ notesUse: true }));
