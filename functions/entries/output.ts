import { output } from '../http/output.ts';
import { wire } from '../wire.ts';

export const handler = output(wire());
