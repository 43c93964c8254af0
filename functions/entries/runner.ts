import { runner } from '../http/runner.ts';
import { wire } from '../wire.ts';

export const handler = runner(wire());
