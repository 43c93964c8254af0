import { loadProvider } from '../../shared/providers/registry.ts';
import { wire } from '../wire.ts';
import { runCommands } from '../workers/run-commands.ts';

export const handler = runCommands(wire({ load: loadProvider, lookEverySeconds: 3 }));
