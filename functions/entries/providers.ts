import { providers } from '../http/providers.ts';
import { wire } from '../wire.ts';

export const handler = providers(wire());
