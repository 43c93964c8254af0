import { hooks } from '../http/hooks.ts';
import { wire } from '../wire.ts';

export const handler = hooks(wire());
