import { schedules } from '../http/schedules.ts';
import { wire } from '../wire.ts';

export const handler = schedules(wire({ notesUse: true }));
