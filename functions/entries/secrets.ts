import { secrets } from '../http/secrets.ts';
import { wire } from '../wire.ts';

export const handler = secrets(wire());
