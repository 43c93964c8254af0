import { system } from '../http/system.ts';
import { wire } from '../wire.ts';

export const handler = system(wire());
