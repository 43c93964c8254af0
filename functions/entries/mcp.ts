import { mcp } from '../http/mcp.ts';
import { wire } from '../wire.ts';

export const handler = mcp(wire({ notesUse: true }));
